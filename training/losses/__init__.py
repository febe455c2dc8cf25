"""Loss functions: cross entropy, the contrastive losses of the papers, and their combination."""
