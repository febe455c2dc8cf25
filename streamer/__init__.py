"""Sound in, typed emotion events out: sources, segmentation, sessions, the server and its client."""
