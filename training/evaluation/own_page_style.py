"""The frame and the style of the page of an evaluation."""

from __future__ import annotations

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
media-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p>{about}</p>
<main>
{parts}
</main>
</body>
</html>
"""

STYLE: Final = """
:root { color-scheme: light dark; --paper:#faf8f4; --card:#fff; --ink:#1d1c1a; --soft:#5f5b54; --line:#e4dfd6;
  --blue:#1d6fb8; }
@media (prefers-color-scheme: dark) { :root { --paper:#131418; --card:#1b1d23; --ink:#efede8; --soft:#a6a8b0;
  --line:#2c2f38; --blue:#5cb0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 0 0 .6rem; font-size: 1.1rem; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
section { padding: 1rem 1.2rem; border: 1px solid var(--line); border-radius: .9rem; background: var(--card);
  min-width: 0; }
.figures, main > .note, section:last-child { grid-column: 1 / -1; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; }
.figures b { display: block; font-size: 2rem; line-height: 1.2; }
.note, .figures span { margin: 0; color: var(--soft); font-size: .85rem; }
section .note { margin-top: .6rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; }
th { color: var(--soft); font-weight: 400; white-space: nowrap; }
.tall th { white-space: normal; overflow-wrap: anywhere; }
.confusion td { padding: .35rem .6rem; border: 2px solid var(--card);
  background: color-mix(in srgb, var(--blue) calc(var(--share) * .6), var(--card)); }
.scroll { overflow-x: auto; }
.tall { max-height: 22rem; overflow: auto; }
audio { width: 12rem; height: 2.2rem; }
.chart { width: 100%; max-width: 26rem; }
.chart text { fill: var(--soft); font-size: 10px; }
.chart .grid { stroke: var(--line); }
.chart .ideal { stroke: var(--soft); stroke-dasharray: 5 4; }
.chart polyline { fill: none; stroke: var(--blue); stroke-width: 2; }
.chart circle { fill: var(--blue); }
"""
