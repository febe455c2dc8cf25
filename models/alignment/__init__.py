"""Words to places in the sound, down to syllables and phones."""
