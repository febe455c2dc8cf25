"""The same pipeline past one machine, on Ray: archives of recordings, and models that servers share."""
