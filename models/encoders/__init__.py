"""Sound and tokens to vectors: pretrained networks behind one shape."""
