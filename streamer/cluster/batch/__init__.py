"""Many recordings on a Ray cluster."""
