"""The options of each command. They import nothing that computes: `--help` is to be there at once."""
