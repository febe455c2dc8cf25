"""G.711, the code of telephone lines: eight bits a sample on a logarithmic scale, mu-law and A-law.

ITU-T Recommendation G.711 (11/88), tables 1a to 2b. Decoded to full scale 1.0, as 16-bit samples are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float32]


def mulaw_table() -> Table:
    """(256,) values of the codes: sign, three bits of segment, four of step, all inverted."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    segment, step = code >> 4 & 7, code & 15
    magnitude = ((2 * step + 33) << segment) - 33  # of 14 bits
    return _scaled(np.where(code & 0x80, -magnitude, magnitude), 4)


def alaw_table() -> Table:
    """(256,) values of the codes: sign, segment and step, every other bit inverted."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = code >> 4 & 7, code & 15
    magnitude = np.where(
        segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0)
    )  # of 13 bits
    return _scaled(np.where(code & 0x80, magnitude, -magnitude), 8)


def _scaled(values: npt.NDArray[np.int32], step: int) -> Table:
    """step: how many steps of 16 bits one of the code's has."""
    table: Table = (values * step / 32_768).astype(np.float32)
    return table
