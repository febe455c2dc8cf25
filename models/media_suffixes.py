"""The names of audio and video files that are read from a folder."""

from __future__ import annotations

from typing import Final

_AUDIO: Final = ".aac .aif .aiff .flac .m4a .mp3 .oga .ogg .opus .wav .weba .wma"
_VIDEO: Final = ".avi .mkv .mov .mp4 .webm"
MEDIA_SUFFIXES: Final = frozenset(f"{_AUDIO} {_VIDEO}".split())
"""In small letters; a file given by name is tried in any case."""
