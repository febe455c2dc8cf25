"""The demo page and the bundled recording: static files that the server serves."""
