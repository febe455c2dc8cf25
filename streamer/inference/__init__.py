"""Models behind dynamic batchers: from an utterance to its analysis."""
