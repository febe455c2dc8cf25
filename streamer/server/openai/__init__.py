"""OpenAI's interface for speech recognition: transcriptions of recordings, the list of models."""
