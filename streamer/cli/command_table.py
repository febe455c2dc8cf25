"""The commands of the program, each imported when it is called: `--help` of one waits for no other."""

from __future__ import annotations

from typing import Any, Final

from emostream.lazy_commands import LazyGroup

COMMANDS: Final = {
    "demo": "Play the bundled recording through the whole pipeline and show it on a web page.",
    "live": "Analyze this machine's microphone; results in the terminal and on a web page.",
    "serve": "Serve websocket clients, each with an audio stream of its own.",
    "replay": "Analyze recordings: the same pipeline as live, as fast as the models go.",
    "record": "Analyze the microphone as [bold]emostream live[/bold] does, and record the session: audio and "
    "events.",
    "summary": "Summarize results of replay: time per emotion, and which emotion follows which.",
    "compare": "Compare two sets of results, or results and human labels: agreement, kappa, figures per "
    "label, and the utterances that differ.",
    "align": "Print when each word, syllable and phone of a recording is spoken (forced alignment).",
    "batch": "Analyze an archive of recordings on a Ray cluster.",
    "client": "Send a recording or the microphone to a server and print its events.",
    "wyoming": "Serve Wyoming clients, such as Home Assistant: speech to text, with the emotion of each "
    "utterance in the transcript's context.",
    "speakers": "List the speakers whose voices are enrolled, for [bold]--speaker NAME[/bold].",
    "devices": "List the microphones of this machine, for [bold]emostream live --microphone[/bold].",
    "doctor": "Check what emostream needs: packages, models, accelerator, microphone, port.",
    "bench": "Measure a server under a load of real speech.",
}
"""By name, with the first paragraph of its help. The module in `commands` has its name."""


class CommandTable(LazyGroup):
    """The group of all of COMMANDS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(COMMANDS, f"{__package__}.commands", **options)
