"""A summary as one page that needs nothing else: the timeline of each recording, playable.

The page holds no addresses of other machines and its own policy forbids it to load any; recordings are in it
up to a size, beyond which they are linked relative to it.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ..output.colours import colour_of
from ..output.sinks import clock_time
from ..plurals import counted
from ..protocol import messages
from .export import Summary, minutes, percent
from .page_style import PAGE, SCRIPT, STYLE
from .statistics import RecordingSummary, sum_statistics

PLAYED: Final = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".aac": "audio/aac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".webm": "video/webm",
    ".weba": "audio/webm",
}
"""Suffix -> type, of what browsers play."""
_WIDTH: Final = 1000
_LANE: Final = 46
_NARROWEST: Final = 2


@dataclass(frozen=True, slots=True)
class AudioPolicy:
    """page: the file to be written. folders: where recordings are looked for. embedded_bytes: how many are
    put into the page, all recordings together; the others are linked.
    """

    page: Path
    folders: Sequence[Path]
    embedded_bytes: int


def write_html(summary: Summary, policy: AudioPolicy) -> None:
    """summary: with the final results of its recordings. Raises OSError."""
    budget = policy.embedded_bytes
    parts: list[str] = []
    for recording in _recordings(summary.recordings):
        sound, used = _sound(recording[0], policy, budget)
        budget -= used
        parts.append(_section(recording, len(parts), sound, summary))
    labels = summary.labels
    page = PAGE.format(
        style=STYLE.format(light=_hues(labels, dark=False), dark=_hues(labels, dark=True)),
        title=escape(f"Emotions in {counted(summary.sessions, 'recording')}"),
        overview=_overview(summary),
        recordings="\n".join(parts),
        left_out="".join(f"<p class=note>{escape(reason)}</p>" for reason in summary.left_out),
        script=SCRIPT,
    )
    policy.page.write_text(page, encoding="utf-8")


def _recordings(channels: Sequence[RecordingSummary]) -> Iterator[list[RecordingSummary]]:
    """The channels of each recording."""
    found: dict[tuple[str, str], list[RecordingSummary]] = {}
    for channel in channels:
        found.setdefault((channel.results, channel.name), []).append(channel)
    yield from found.values()


def _hues(labels: Sequence[str], *, dark: bool) -> str:
    return "".join(f"--hue-{number}:{colour_of(label, dark=dark)};" for number, label in enumerate(labels))


def _overview(summary: Summary) -> str:
    total = summary.total
    # Channels are as long as their recording, which counts once here.
    length_ms = sum(_length_ms(channels) for channels in _recordings(summary.recordings))
    speech = f"{minutes(total.all.ms)} min of speech in {minutes(length_ms)} min"
    spoken = f"{speech}, {counted(total.all.utterances, 'utterance')}."
    return f"<p>{spoken}</p>{_shares(summary.recordings, summary)}"


def _shares(channels: Sequence[RecordingSummary], summary: Summary) -> str:
    total = sum_statistics(channels)
    rows = []
    for number, label in enumerate(summary.labels):
        share = total.share(label, summary.by)
        if label in total.emotions:
            length = f"{minutes(total.emotions[label].ms)} min"
            bar = f'<i style="width:{100 * (share or 0):.1f}%;background:var(--hue-{number})"></i>'
            numbers = f"<span>{percent(share)}, {length}</span>"
            rows.append(f"<li><span>{escape(label)}</span><b>{bar}</b>{numbers}</li>")
    return f"<ul class=shares>{''.join(rows)}</ul>"


def _section(channels: Sequence[RecordingSummary], number: int, sound: str, summary: Summary) -> str:
    """One recording. number: unique in the page."""
    first = channels[0]
    length_ms = max(1, _length_ms(channels))
    finals = sorted(
        (event for channel in channels for event in channel.finals), key=lambda event: event.start_ms
    )
    note = "" if first.state in ("complete", "utterances") else f" <small>({first.state})</small>"
    return (
        f"<section data-ms={length_ms}><h2>{escape(first.name)}{note}</h2>{sound}"
        f"{_timeline(channels, length_ms, summary)}{_shares(channels, summary)}"
        f"<details><summary>{counted(len(finals), 'utterance')}</summary>{_table(finals, channels, summary)}"
        "</details></section>"
    )


def _length_ms(channels: Sequence[RecordingSummary]) -> int:
    return max(channel.statistics.length_ms for channel in channels)


def _timeline(channels: Sequence[RecordingSummary], length_ms: int, summary: Summary) -> str:
    """An SVG with a lane for each channel; the cursor is moved by the script."""
    height = _LANE * len(channels)
    parts = []
    for lane, channel in enumerate(channels):
        top = lane * _LANE
        parts.append(f'<rect class=lane y="{top + 2}" width="{_WIDTH}" height="{_LANE - 4}"/>')
        for event in channel.finals:
            x, width = (_WIDTH * ms / length_ms for ms in (event.start_ms, event.end_ms - event.start_ms))
            hue = summary.labels.index(event.label)
            doubt = "" if event.reliable else " class=doubt"
            parts.append(
                f'<rect{doubt} data-at="{event.start_ms}" x="{x:.2f}" y="{top + 6}" '
                f'width="{max(_NARROWEST, width):.2f}" height="{_LANE - 12}" fill="var(--hue-{hue})">'
                f"<title>{escape(_described(event))}</title></rect>"
            )
    parts.append(f'<line class=cursor x1="0" x2="0" y1="0" y2="{height}"/>')
    names = "".join(
        f"<span>channel {channel.channel}</span>" for channel in channels if channel.channel is not None
    )
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {height}" preserveAspectRatio="none" style="height:{height}px" role=img '
        f'aria-label="Timeline">{"".join(parts)}</svg>'
    )
    ends = f"<div class=ends><span>{clock_time(0)}</span><span>{clock_time(length_ms)}</span></div>"
    return f"<div class=timeline><div class=names>{names}</div><div>{svg}{ends}</div></div>"


def _described(event: messages.Emotion) -> str:
    doubt = "" if event.reliable else ", not reliable"
    words = f": {' '.join(event.text.split())}" if event.text else ""
    return f"{clock_time(event.start_ms)} {event.label} {event.confidence:.0%}{doubt}{words}"


def _table(finals: Sequence[messages.Emotion], channels: Sequence[RecordingSummary], summary: Summary) -> str:
    several = len(channels) > 1
    rows = []
    for event in finals:
        hue = summary.labels.index(event.label)
        doubt = "" if event.reliable else " (not reliable)"
        channel = f"<td>{event.channel}</td>" if several else ""
        at = f'<button type=button data-at="{event.start_ms}">{clock_time(event.start_ms)}</button>'
        rows.append(
            f"<tr><td>{at}</td>"
            f'{channel}<td><i style="background:var(--hue-{hue})"></i>{escape(event.label)}</td>'
            f"<td>{event.confidence:.0%}{doubt}</td><td>{escape(' '.join(event.text.split()))}</td></tr>"
        )
    head = (
        "<th>from</th>"
        + ("<th>channel</th>" if several else "")
        + "<th>emotion</th><th>confidence</th><th>words</th>"
    )
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f"<div class=scroll><table>{body}</table></div>"


def _sound(recording: RecordingSummary, policy: AudioPolicy, budget: int) -> tuple[str, int]:
    """The player, and how many bytes of the recording are in it."""
    file = _find(recording, policy.folders)
    if file is None:
        return (
            "<p class=note>Without sound: the recording was not found; name its folder with --audio.</p>",
            0,
        )
    kind = PLAYED.get(file.suffix.lower())
    if kind is None:
        return f"<p class=note>Without sound: browsers do not play {escape(file.suffix or file.name)}.</p>", 0
    size = file.stat().st_size
    if size <= budget:
        address, used = f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}", size
    else:
        address, used = _relative(file, policy.page), 0
    return f'<audio controls preload=none src="{escape(address)}"></audio>', used


def _find(recording: RecordingSummary, folders: Sequence[Path]) -> Path | None:
    """The recording as its results name it, in one of the folders, beside its results, or from here."""
    name = Path(recording.name)
    beside = Path(recording.results).parent
    candidates = [folder / part for folder in folders for part in (name, Path(name.name))]
    candidates += [name, beside / name, beside / name.name]
    return next((path for path in candidates if path.is_file()), None)


def _relative(file: Path, page: Path) -> str:
    """A link from the page; with the whole path where both are on different disks."""
    try:
        return quote(Path(os.path.relpath(file.resolve(), page.resolve().parent)).as_posix())
    except ValueError:
        return file.resolve().as_uri()
