"""Who is trained on and who is judged: folds, seeds, the tables of the papers."""
