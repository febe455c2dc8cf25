"""What only a GPU shows; skipped without one."""
