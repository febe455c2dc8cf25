"""The emotions' colours are the same on the page and in the figures that Python draws."""

from __future__ import annotations

import re

from emostream.models import LABELS
from emostream.streamer.output.colours import colour_of
from tests.support.node import DEMO


def test_the_page_has_the_colours_of_the_figures() -> None:
    light, dark = (DEMO / "style.css").read_text(encoding="utf-8").split("@media")[:2]
    for part, is_dark in ((light, False), (dark, True)):
        colours = dict(re.findall(r"--emotion-(\w+): (#[0-9a-f]{6});", part))
        assert colours == {label: colour_of(label, dark=is_dark) for label in (*LABELS, "other")}
