"""The websocket and HTTP server."""
