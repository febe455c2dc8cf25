"""The report of an evaluation as one page that needs nothing else: diagrams, and the worst clips to hear."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from emostream.models import SAMPLE_RATE_HZ, Samples

from .bootstrap import Estimate
from .metrics import reliability_curve
from .own_clips import EvaluatedClip, OwnEvaluation
from .own_page_style import PAGE, STYLE

_WORST: Final = 24
_LONGEST_S: Final = 15
"""Of a clip in the page; some 30 kB for each second."""
_MOST_SPEAKERS: Final = 200
_BOX: Final = 300
_NAMES: Final = {"ua": "UA, mean recall", "wa": "WA, accuracy", "macro_f1": "macro-F1"}


def write_page(evaluation: OwnEvaluation, file: Path) -> Path:
    """Sounds are in the page: of each of the clips that are listed the first seconds, 16 bit, 16 kHz."""
    parts = [
        _figures(evaluation),
        _card("Confusion", _confusion(evaluation), "Rows: the truth; columns: what was predicted."),
        _card("Reliability diagram", _reliability(evaluation), _calibration_note(evaluation)),
        _card("Risk against coverage", _risk(evaluation), _risk_note(evaluation)),
        _card("By label", _labels(evaluation), ""),
    ]
    if speakers := evaluation.of_speakers():
        parts.append(_card("By speaker", _speakers(speakers), ""))
    parts.append(_worst(evaluation))
    text = PAGE.format(style=STYLE, title="Evaluation", about=_about(evaluation), parts="\n".join(parts))
    file.write_text(text, encoding="utf-8")
    return file


def _about(evaluation: OwnEvaluation) -> str:
    words = sum(bool(clip.text) for clip in evaluation.clips)
    left_out = f" {evaluation.left_out} clips of other labels were left out." if evaluation.left_out else ""
    return escape(
        f"{evaluation.model} on {len(evaluation.clips)} clips, {words} of them with words.{left_out}"
    )


def _card(title: str, body: str, note: str) -> str:
    below = f"<p class=note>{note}</p>" if note else ""
    return f"<section><h2>{title}</h2>{body}{below}</section>"


def _figures(evaluation: OwnEvaluation) -> str:
    estimates = evaluation.estimates()
    occurring = len(set(evaluation.truth.tolist()))
    cells = [
        f"<div><b>{100 * e.value:.1f}</b><span>{_NAMES[name]}<br>{_interval(e)}</span></div>"
        for name, e in estimates.items()
    ]
    metrics = evaluation.metrics
    cells.append(f"<div><b>{100 / occurring:.1f}</b><span>chance, UA</span></div>")
    cells.append(f"<div><b>{100 * metrics.ece_equal_mass:.1f}</b><span>calibration error</span></div>")
    unit = estimates["ua"].unit_kind
    note = f"<p class=note>Percent; 95 % intervals by resampling {unit}.</p>"
    return f"<section class=figures>{''.join(cells)}</section>{note}"


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.interval.low:.1f} to {100 * estimate.interval.high:.1f}"


def _confusion(evaluation: OwnEvaluation) -> str:
    confusion = np.array(evaluation.metrics.confusion)
    head = "".join(f"<th>{escape(label)}</th>" for label in evaluation.labels)
    rows = []
    for label, counts in zip(evaluation.labels, confusion, strict=True):
        total = max(1, int(counts.sum()))
        cells = "".join(
            f'<td style="--share:{100 * count / total:.0f}%"><b>{100 * count / total:.0f} %</b> {count}</td>'
            for count in counts.tolist()
        )
        rows.append(f"<tr><th>{escape(label)}</th>{cells}</tr>")
    return f"<div class=scroll><table class=confusion><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"


def _labels(evaluation: OwnEvaluation) -> str:
    confusion = np.array(evaluation.metrics.confusion)
    rows = []
    for number, label in enumerate(evaluation.labels):
        hits, truth, predicted = (
            confusion[number, number],
            confusion[number].sum(),
            confusion[:, number].sum(),
        )
        shares = (hits / total if total else None for total in (truth, predicted))
        f1 = 2 * hits / (truth + predicted) if truth + predicted else None
        cells = "".join(f"<td>{_percent(share)}</td>" for share in (*shares, f1))
        rows.append(f"<tr><th>{escape(label)}</th><td>{truth}</td>{cells}</tr>")
    head = "<tr><th></th><th>clips</th><th>recall</th><th>precision</th><th>F1</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _speakers(speakers: dict[str, list[EvaluatedClip]]) -> str:
    """The least well recognized first."""
    shares = {name: float(np.mean([not clip.wrong for clip in clips])) for name, clips in speakers.items()}
    shown = sorted(speakers, key=lambda name: shares[name])[:_MOST_SPEAKERS]
    rows = [
        f"<tr><th>{escape(name)}</th><td>{len(speakers[name])}</td><td>{_percent(shares[name])}</td></tr>"
        for name in shown
    ]
    more = f"<p class=note>{len(speakers) - len(shown)} more.</p>" if len(shown) < len(speakers) else ""
    head = "<tr><th>speaker</th><th>clips</th><th>right</th></tr>"
    return f"<div class=tall><table>{head}{''.join(rows)}</table></div>{more}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _reliability(evaluation: OwnEvaluation) -> str:
    curve = reliability_curve(evaluation.truth, evaluation.probabilities, binning="equal mass")
    points = list(zip(curve.confidence.tolist(), curve.accuracy.tolist(), strict=True))
    marks = "".join(f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="4"/>' for x, y in points)
    diagonal = f'<line class=ideal x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
    return _chart(f"{diagonal}{_path(points)}{marks}", "confidence", "share right")


def _risk(evaluation: OwnEvaluation) -> str:
    coverage, risk = evaluation.risk_by_coverage()
    points = list(zip(coverage.tolist(), risk.tolist(), strict=True))
    overall = float(risk[-1])
    level = f'<line class=ideal x1="{_x(0)}" y1="{_y(overall)}" x2="{_x(1)}" y2="{_y(overall)}"/>'
    return _chart(f"{level}{_path(points)}", "share of clips answered", "share of errors")


def _calibration_note(evaluation: OwnEvaluation) -> str:
    error = evaluation.metrics.ece_equal_mass
    text = "Ten groups of equally many clips by confidence; calibrated is the diagonal. "
    return f"{text}Mean gap {100 * error:.1f} %."


def _risk_note(evaluation: OwnEvaluation) -> str:
    reliable = [clip for clip in evaluation.clips if clip.prediction.reliable]
    share = len(reliable) / len(evaluation.clips)
    text = f"<code>reliable</code> is true for {100 * share:.0f} % of the clips"
    if reliable:
        text += f", of which {100 * np.mean([clip.wrong for clip in reliable]):.0f} % are wrong"
    return f"{text}. Dashed: a random order."


def _x(value: float) -> float:
    return 44 + value * (_BOX - 54)


def _y(value: float) -> float:
    return _BOX - 40 - value * (_BOX - 54)


def _path(points: Sequence[tuple[float, float]]) -> str:
    at = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline points="{at}"/>'


def _chart(body: str, x_name: str, y_name: str) -> str:
    """Both axes from 0 to 1."""
    grid = "".join(
        f'<line class=grid x1="{_x(0)}" x2="{_x(1)}" y1="{_y(v)}" y2="{_y(v)}"/>'
        f'<line class=grid y1="{_y(0)}" y2="{_y(1)}" x1="{_x(v)}" x2="{_x(v)}"/>'
        f'<text x="{_x(v)}" y="{_y(0) + 16}" text-anchor=middle>{100 * v:.0f}</text>'
        f'<text x="{_x(0) - 6}" y="{_y(v) + 4}" text-anchor=end>{100 * v:.0f}</text>'
        for v in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    names = (
        f'<text x="{_x(0.5)}" y="{_BOX - 6}" text-anchor=middle>{x_name}, %</text>'
        f'<text transform="rotate(-90)" x="{-_y(0.5)}" y="12" text-anchor=middle>{y_name}, %</text>'
    )
    name = f'aria-label="{y_name} by {x_name}"'
    return f'<svg class=chart viewBox="0 0 {_BOX} {_BOX}" role=img {name}>{grid}{names}{body}</svg>'


def _worst(evaluation: OwnEvaluation) -> str:
    worst = evaluation.worst(_WORST)
    if not worst:
        return _card("Wrong clips", "<p>None.</p>", "")
    rows = "".join(
        f"<tr><td>{_player(evaluation.audio.clip(clip.example.key))}</td><td>{escape(clip.example.key)}</td>"
        f"<td>{escape(clip.truth)}</td><td>{escape(clip.prediction.label)} {clip.prediction.confidence:.0%}"
        f"{'' if clip.prediction.reliable else ' (not reliable)'}</td><td>{escape(clip.text)}</td></tr>"
        for clip in worst
    )
    total = sum(clip.wrong for clip in evaluation.clips)
    head = "<tr><th></th><th>clip</th><th>truth</th><th>predicted</th><th>words</th></tr>"
    note = (
        f"The {len(worst)} of {total} wrong clips of which the model was surest, without their silent edges."
    )
    return _card("Worst clips", f"<div class=scroll><table>{head}{rows}</table></div>", note)


def _player(samples: Samples) -> str:
    pcm: npt.NDArray[np.int16] = np.round(samples[: _LONGEST_S * SAMPLE_RATE_HZ] * 32767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.tobytes())
    data = base64.b64encode(out.getvalue()).decode()
    return f'<audio controls preload=none src="data:audio/wav;base64,{data}"></audio>'
