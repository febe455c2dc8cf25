"""The commands of `emostream`, one file each; each builds its objects and runs them."""
