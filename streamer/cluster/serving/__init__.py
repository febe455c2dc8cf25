"""Live streams served by models in a Ray cluster."""
