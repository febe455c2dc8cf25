"""Two sets of labels for the same recordings: of two models, or of a model and of people."""
