"""From corpora to a checkpoint folder, and from a checkpoint folder to figures."""
