"""Statistics over results of a replay."""
