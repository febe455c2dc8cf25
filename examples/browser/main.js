/**
 * emostream in a page of your own: the microphone in, one line per utterance out.
 *
 * client.js and worklet.js stand beside this file, from any static server; the emostream server must be told
 * to let that page in. In the root of the repository:
 *
 *     cp -r examples/browser page && cp demo/client.js demo/worklet.js page
 *     python3 -m http.server 8000 --directory page
 *     emostream serve --allow-origin http://localhost:8000
 *
 * Then open http://localhost:8000. Browsers give the microphone to pages from localhost and over https only,
 * and a page over https reaches a server behind wss:// only (`emostream serve --certificate ... --key ...`).
 */
import { EmostreamClient, microphone } from "./client.js";

const part = (id) => document.getElementById(id);
const lines = new Map(); // "session/utterance" -> its line
let session = "";
let sound = null;

part("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  run().catch((error) => say(error.message));
});
part("stop").addEventListener("click", () => sound?.stop());

async function run() {
  allow({ start: false, stop: true });
  try {
    say("Waiting for the microphone");
    sound = await microphone();
    const client = new EmostreamClient({
      url: part("server").value,
      token: part("token").value || undefined,
      sampleRate: sound.sampleRate,
      onEvent: show,
      onState: tell,
    });
    client.finished.then(() => sound.stop());
    for await (const block of sound) client.send(block);
    client.stop(); // the finals of what was said still come
    allow({ start: false, stop: false });
    await client.finished;
  } finally {
    sound?.stop();
    allow({ start: true, stop: false });
  }
}

/** @param {import("./client.js").ServerEvent} event */
function show(event) {
  if (event.type === "speech_started") line(event.utterance, "…", "", "");
  if (event.type === "emotion") {
    const { utterance, final, label, confidence, text } = event;
    line(utterance, label, `${Math.round(100 * confidence)} %`, text, final);
  }
  if (event.type === "dropped") say(`${event.ms} ms of sound were lost: ${event.why}`);
  if (event.type === "error") say(`${event.code}: ${event.message}`);
}

function line(utterance, label, probability, words, final = false) {
  const key = `${session}/${utterance}`;
  const row = lines.get(key) ?? part("utterances").appendChild(document.createElement("li"));
  lines.set(key, row);
  row.className = final ? "" : "so-far";
  row.replaceChildren(...[label, probability, words].map(cell));
}

/** What was heard is put in as text, never as markup. */
function cell(text) {
  const made = document.createElement("span");
  made.textContent = text;
  return made;
}

/** @param {import("./client.js").ClientState} state */
function tell(state) {
  switch (state.phase) {
    case "connecting":
      return say("Connecting");
    case "live":
      session = state.ready.session;
      return say("Listening");
    case "lost":
      return say(`The server lost this session, and up to ${Math.round(state.lostAudioMs)} ms of sound`);
    case "reconnecting":
      return say(`The connection broke; next try in ${Math.round(state.delayMs)} ms. ${state.why}`);
    case "refused":
      return say(`The server refuses: ${state.why || state.code}`);
    case "ended":
      return say(`Ended: ${state.totals.utterances} utterances in ${state.totals.audio_ms} ms of sound`);
  }
}

const say = (text) => (part("status").textContent = text);

function allow({ start, stop }) {
  part("start").disabled = !start;
  part("stop").disabled = !stop;
}
