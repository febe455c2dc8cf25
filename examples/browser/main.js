/**
 * emostream in a page of your own: the microphone in, one line per utterance out.
 *
 * Any static server may serve this page together with the client's files; the emostream server must allow the
 * page's origin. In the root of the repository:
 *
 *     cp -r examples/browser page
 *     (cd demo && cp client.js send_queue.js repeated_results.js backoff.js microphone.js capture_monitor.js file_audio.js worklet.js ../page)
 *     python3 -m http.server 8000 --directory page
 *     emostream serve --allow-origin http://localhost:8000
 *
 * Then open http://localhost:8000. Browsers give the microphone to pages from localhost and over https only,
 * and a page over https reaches a server behind wss:// only (`emostream serve --ssl-certfile ... --ssl-keyfile ...`).
 */
import { EmostreamClient, microphone } from "./client.js";

const part = (id) => document.getElementById(id);
const rows = new Map(); // "session/utterance" -> its row
let session = "";
let audio = null;

part("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  run().catch((error) => showStatus(error.message));
});
part("stop").addEventListener("click", () => audio?.stop());

async function run() {
  enable({ start: false, stop: true });
  try {
    showStatus("Waiting for the microphone");
    audio = await microphone();
    const client = new EmostreamClient({
      url: part("server").value,
      token: part("token").value || undefined,
      sampleRate: audio.sampleRate,
      onEvent: showEvent,
      onState: showState,
    });
    client.finished.then(() => audio.stop());
    for await (const block of audio) client.send(block);
    client.stop(); // the last finals still arrive
    enable({ start: false, stop: false });
    await client.finished;
  } finally {
    audio?.stop();
    enable({ start: true, stop: false });
  }
}

/** @param {import("./client.js").ServerEvent} event */
function showEvent(event) {
  if (event.type === "speech_started") showRow(event.utterance, "…", "", "");
  if (event.type === "emotion") {
    const { utterance, final, label, confidence, text } = event;
    showRow(utterance, label, `${Math.round(100 * confidence)} %`, text, final);
  }
  if (event.type === "dropped") showStatus(`${event.ms} ms of audio were dropped: ${event.reason}`);
  if (event.type === "error") showStatus(`${event.code}: ${event.message}`);
}

function showRow(utterance, label, probability, words, final = false) {
  const key = `${session}/${utterance}`;
  const row = rows.get(key) ?? part("utterances").appendChild(document.createElement("li"));
  rows.set(key, row);
  row.className = final ? "" : "interim";
  row.replaceChildren(...[label, probability, words].map(cell));
}

/** What the server sends is inserted as text, never as markup. */
function cell(text) {
  const span = document.createElement("span");
  span.textContent = text;
  return span;
}

/** @param {import("./client.js").ClientState} state */
function showState(state) {
  switch (state.phase) {
    case "connecting":
      return showStatus("Connecting");
    case "live":
      session = state.ready.session;
      return showStatus("Live");
    case "lost":
      return showStatus(`The server lost this session, with ${Math.round(state.lostAudioMs)} ms of audio at most`);
    case "reconnecting":
      return showStatus(`The connection broke; retry in ${Math.round(state.delayMs)} ms. ${state.message}`);
    case "refused":
      return showStatus(`The server refused: ${state.message || state.code}`);
    case "ended":
      return showStatus(`Ended: ${state.totals.utterances} utterances in ${state.totals.audio_ms} ms of audio`);
  }
}

const showStatus = (text) => (part("status").textContent = text);

function enable({ start, stop }) {
  part("start").disabled = !start;
  part("stop").disabled = !stop;
}
