"""The page and the bundled recording: static files, served by the streamer."""
