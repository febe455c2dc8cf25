"""A figure without pyplot and its windows, which a notebook shows all the same."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    def _repr_png_(self) -> bytes:
        """For notebooks, which know figures by themselves only once pyplot is loaded."""
        out = io.BytesIO()
        self.savefig(out, format="png")
        return out.getvalue()
