"""What `make bench` runs: sections, their targets, and the document that they write."""
