"""The frame, the style and the script of the page of a summary."""

from __future__ import annotations

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'; media-src 'self' data: file:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1>{overview}</header>
<main>{recordings}</main>
<footer>{left_out}<p class=note>Made by emostream. \
Labels are a model's predictions from sound and words; pale \
ones are not reliable. Select an utterance to hear it.</p></footer>
<script>{script}</script>
</body>
</html>
"""

STYLE: Final = """
:root {{ color-scheme: light dark; --paper:#faf8f4; --card:#fff; --ink:#1d1c1a; --soft:#5f5b54;
  --line:#e4dfd6; --track:#ece8e0; {light} }}
@media (prefers-color-scheme: dark) {{ :root {{ --paper:#131418; --card:#1b1d23; --ink:#efede8;
  --soft:#a6a8b0; --line:#2c2f38; --track:#2a2d36; {dark} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 64rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }}
h1 {{ margin: 0; font-size: 1.6rem; }}
h2 {{ margin: 0 0 .6rem; font-size: 1.1rem; overflow-wrap: anywhere; }}
small, .note, .ends, .names {{ color: var(--soft); font-size: .85rem; font-weight: 400; }}
section {{ margin-top: 1.2rem; padding: 1rem 1.2rem; border: 1px solid var(--line); border-radius: .9rem;
  background: var(--card); }}
audio {{ width: 100%; height: 2.4rem; margin-bottom: .6rem; }}
.timeline {{ display: flex; gap: .6rem; }}
.timeline > div:last-child {{ flex: 1; min-width: 0; }}
.names {{ display: flex; flex-direction: column; }}
.names span {{ height: 46px; line-height: 46px; }}
.names:empty {{ display: none; }}
svg {{ display: block; width: 100%; }}
svg .lane {{ fill: var(--track); }}
svg .doubt {{ opacity: .4; }}
svg [data-at] {{ cursor: pointer; }}
svg .cursor {{ stroke: var(--ink); stroke-width: 2; vector-effect: non-scaling-stroke; }}
.ends {{ display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }}
.shares {{ margin: .6rem 0; padding: 0; list-style: none; }}
.shares li {{ display: grid; grid-template-columns: 6rem 1fr 8rem; gap: .6rem; align-items: center;
  font-size: .9rem; }}
.shares b {{ height: .7rem; border-radius: 1rem; background: var(--track); overflow: hidden; }}
.shares b i {{ display: block; height: 100%; }}
.shares span:last-child {{ color: var(--soft); font-variant-numeric: tabular-nums; }}
details {{ font-size: .9rem; }}
summary {{ cursor: pointer; }}
.scroll {{ overflow-x: auto; }}
table {{ width: 100%; margin-top: .5rem; border-collapse: collapse; }}
th, td {{ padding: .2rem .6rem .2rem 0; text-align: left; vertical-align: top; }}
th {{ color: var(--soft); font-weight: 400; }}
td i {{ display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem; border-radius: 50%; }}
td button {{ padding: 0 .4rem; border: 1px solid var(--line); border-radius: .4rem; background: none;
  color: inherit; font: inherit; font-variant-numeric: tabular-nums; cursor: pointer; }}
@media (max-width: 40rem) {{ body {{ padding: .8rem; }}
  .shares li {{ grid-template-columns: 4.5rem 1fr 7rem; }} }}
"""

SCRIPT: Final = """
for (const section of document.querySelectorAll("section")) {
  const audio = section.querySelector("audio");
  const cursor = section.querySelector(".cursor");
  const length = Number(section.dataset.ms);
  const move = (ms) => { for (const end of ["x1", "x2"]) cursor.setAttribute(end, 1000 * ms / length); };
  section.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-at]");
    if (!chosen) return;
    move(Number(chosen.dataset.at));
    if (!audio) return;
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    audio.currentTime = Number(chosen.dataset.at) / 1000;
    audio.play();
  });
  if (audio) audio.addEventListener("timeupdate", () => move(1000 * audio.currentTime));
}
"""
