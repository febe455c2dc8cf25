"""One module per section of results.md; each has `measure`, which yields its parts."""
