"""Programs that start a peer; each runs in the peer's own environment and imports nothing of emostream."""
