"""Audio and text encoders: pretrained networks behind one interface."""
