"""`client.d.ts`: the types of the wire protocol's messages and of what `client.js` exports."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import Final

import pytest

from emostream.streamer.protocol.schema import schema
from tests.support.node import DEMO, evaluate, needs_node
from tests.support.shared import REPO

TYPES: Final = (DEMO / "client.d.ts").read_text(encoding="utf-8")
FROM_CLIENT: Final = ("Start", "EnrolledVoice", "Resume", "Options", "Subscribe", "Gap", "Flush", "Stop")


def declared(name: str) -> dict[str, bool]:
    """The fields of an interface, and whether each is optional."""
    match = re.search(rf"^export interface {name} \{{\n(.*?)^\}}", TYPES, re.M | re.S)
    assert match is not None, name
    return {field: bool(mark) for field, mark in re.findall(r"^  (\w+)(\??):", match[1], re.M)}


def test_the_types_are_those_of_the_schema() -> None:
    structs = {name: about for name, about in schema()["$defs"].items() if "properties" in about}
    for name, about in structs.items():
        fields = declared("ServerError" if name == "Error" else name)
        assert fields.keys() == about["properties"].keys(), name
        if name in FROM_CLIENT:
            required = {field for field, optional in fields.items() if not optional}
            assert required == set(about.get("required", ()))
        else:
            assert not any(fields.values()), name  # a server sends every field


def test_the_types_know_every_error_code_of_the_protocol() -> None:
    chapter = (REPO / "docs" / "protocol.md").read_text(encoding="utf-8").split("## Error codes")[1]
    table = chapter.split("\n## ")[0]
    codes = {
        code for row in re.findall(r"^\| [^|]+ \| ([^|]*) \|", table, re.M) for code in row.split("`")[1::2]
    }
    match = re.search(r"^export type ErrorCode =\n(.*?);", TYPES, re.M | re.S)
    assert match is not None
    assert set(re.findall(r'"(\w+)"', match[1])) == codes


@needs_node
def test_the_types_declare_what_the_module_exports() -> None:
    exported = evaluate("return Object.keys(await load('client.js'));")
    names = re.findall(r"^export (?:class|const|function) (\w+)", TYPES, re.M)
    assert sorted(exported) == sorted(names)


PROGRAM: Final = """
import { EmostreamClient, MicrophoneError, fileBlocks, microphone } from "./client.js";
import type { ClientState, Emotion, ServerEvent } from "./client.js";

const finals: Emotion[] = [];
const onEvent = (event: ServerEvent): void => {
  if (event.type === "emotion" && event.final) finals.push(event);
  if (event.type === "error" && event.code === "analysis_failed") console.log(event.utterance);
};
const onState = (state: ClientState): number | null => {
  switch (state.phase) {
    case "live": return state.ready.limits.max_unacked_ms + state.offsetMs;
    case "lost": return state.lostAudioMs;
    case "reconnecting": return state.delayMs;
    case "ended": return state.totals.audio_ms;
    case "refused": case "closed": return state.undeliveredMs;
    case "connecting": return state.attempt;
  }
};

export async function main(file: File): Promise<string> {
  const audio = await microphone({ deviceId: "x", signal: new AbortController().signal });
  const client = new EmostreamClient({ url: "ws://x", sampleRate: audio.sampleRate, onEvent, onState });
  for await (const block of audio) client.send(block);
  for await (const block of fileBlocks(file, { pace: Infinity })) await client.send(block);
  client.gap(5); client.flush(); client.stop();
  // @ts-expect-error: text is no audio
  client.send("la la");
  // @ts-expect-error: there is no such encoding
  new EmostreamClient({ url: "ws://x", sampleRate: 16000, encoding: "mp3" });
  try {
    await microphone();
  } catch (error) {
    if (error instanceof MicrophoneError && error.code === "refused") return error.message;
  }
  return (await client.finished).phase;
}
"""


@pytest.mark.skipif(shutil.which("tsc") is None, reason="expected tsc on the path, found none")
async def test_a_program_in_typescript_is_checked(tmp_path: Path) -> None:
    for name in ("client.js", "client.d.ts"):
        shutil.copy(DEMO / name, tmp_path)
    (tmp_path / "program.ts").write_text(PROGRAM, encoding="utf-8")
    flags = "--noEmit --strict --target es2022 --module esnext --moduleResolution bundler --lib es2022,dom"
    tsc = await asyncio.create_subprocess_exec(
        "tsc", *flags.split(), "program.ts", cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await tsc.communicate()
    assert tsc.returncode == 0, output.decode()
