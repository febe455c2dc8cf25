"""What the corpora hold, one parser a corpus, all into `Example`."""
