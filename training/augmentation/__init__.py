"""What a microphone, a room, a line and a transcriber do to speech. Pure: the generator is an argument."""
