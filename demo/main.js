/** Connects the sources, the session log, the state and the parts of the page. */
import { AudioRingBuffer } from "./audio_buffer.js";
import { Inspector } from "./inspector.js";
import { LocalSession } from "./local_session.js";
import { LISTENING, Player } from "./player.js";
import { ServerAudio, fetchFrom } from "./server_audio.js";
import { SessionLog } from "./session_log.js";
import { SourcePicker } from "./source_picker.js";
import { INITIAL, beginsAfresh, reduce } from "./store.js";
import { StreamSubscriber, socketAddress } from "./stream_subscriber.js";
import { SummaryPanel } from "./summary_panel.js";
import { Timeline } from "./timeline.js";
import { storeToken, storedToken } from "./token_store.js";
import { View } from "./view.js";
import { storeVoice, storedVoice } from "./voice_store.js";

const SERVER_RATE_HZ = 16_000; // of the audio that the server keeps
const LISTEN_BEHIND_MS = 1_500; // the audio is fetched half a second at a time
const IN_PROGRESS = new Set(["connecting", "live", "reconnecting", "stopping"]);
const base = location.href;

let state = INITIAL;
let log = new SessionLog();
let audio = new AudioRingBuffer(SERVER_RATE_HZ);
let local = null; // the LocalSession that is in progress, or was shown last
let opening = null; // the one without audio so far: the browser asks for permission, or decodes
let lastStream = null; // the name of the server's stream that was shown last
let serverAudio = null; // of the stream that is shown; null: a session of this page
let renderScheduled = false;

const view = new View();
const player = new Player(() => scheduleRender());
const summaryPanel = new SummaryPanel();
const timeline = new Timeline(document.getElementById("timeline"), {
  source: () => state.local?.kind ?? state.stream ?? lastStream ?? "",
  onSelect,
  onPlay: play,
  onMove: updateTools,
});
const inspector = new Inspector(document.getElementById("selected"), {
  onPlay: () => play(timeline.selected),
  onClose: deselect,
  onStep: step,
});
const subscriber = new StreamSubscriber({ base, token: storedToken(), report, waveform: true });
const sourcePicker = new SourcePicker({
  onMicrophone: (deviceId) =>
    startLocal("microphone", (session) => session.sendMicrophone(deviceId, storedVoice())),
  onLearnVoice: (deviceId) => {
    sourcePicker.showVoice(storedVoice()?.utterances ?? null, "Speak as you usually do, for 15 seconds.");
    startLocal("microphone", (session) => session.learnVoice(deviceId), learned);
  },
  onForgetVoice: () => {
    storeVoice(null);
    sourcePicker.showVoice(null);
  },
  onRecording: (file, pace) =>
    startLocal("recording", (session) =>
      session.sendFile(file, { pace, onLength: (ms) => sourcePicker.setLength(ms) }),
    ),
  onStop: stopLocal,
});
sourcePicker.showVoice(storedVoice()?.utterances ?? null);

/** @param {import("./client.d.ts").EnrolledVoice | null} voice  Null where the server has learned none. */
function learned(voice) {
  const kept = voice !== null && storeVoice(voice);
  const failure = voice === null ? "No voice was learned: too little speech, or a model that knows no voices." : "";
  sourcePicker.showVoice(storedVoice()?.utterances ?? null, kept ? "" : failure || "This browser keeps nothing.");
}

// Reports and state ----------------------------------------------------------------------------

/** @param {import("./stream_subscriber.js").Report} reported */
function report(reported) {
  const before = state;
  if (reported.kind === "waveform") return onWaveform(reported);
  const listening = player.playing === LISTENING;
  const afresh = reported.kind === "event" && local === null && beginsAfresh(state, reported.event);
  if (afresh) reset();
  if (reported.kind === "event") {
    const event = log.append(reported.event, reported.wire, performance.now(), reported.offsetMs ?? null);
    if (event !== null) state = reduce(state, { ...reported, event });
  } else {
    state = reduce(state, reported);
  }
  if (state.stream !== before.stream && before.stream !== null) reset();
  if (reported.kind === "event" && reported.event.type === "ready" && local === null) openServerAudio();
  if (afresh && listening) player.listen(sound(), 0);
  if (reported.kind === "phase") onPhase(reported);
  if (reported.kind === "token_required") askForToken(reported.wrong);
  if (reported.kind === "events_lost") view.showEventsLost(reported.session);
  scheduleRender();
}

function onPhase({ phase, stream }) {
  const now = performance.now();
  if (phase === "live") log.startClock(now);
  else log.stopClock(now);
  if (phase === "live") timeline.unfit();
  if (phase === "stopped" || phase === "ended") timeline.fit();
  if (local === null) lastStream = stream ?? lastStream;
}

function onWaveform({ fromMs, stepMs, values }) {
  audio.writePeaks(log.offsetMs + fromMs, stepMs, values);
  log.advance(audio.endMs, performance.now());
  timeline.redraw();
}

function openServerAudio() {
  const keptMs = state.streams.find(({ name }) => name === state.stream)?.audioMs ?? 0;
  const fetch = fetchFrom(base, storedToken(), state.stream);
  serverAudio = new ServerAudio({ buffer: audio, fetch, keptMs, offsetMs: log.offsetMs });
}

/** Where the sound of what is shown comes from. */
const sound = () => (local === null && serverAudio !== null ? serverAudio : audio);
const hasSound = () => (local === null ? (serverAudio?.isKept ?? false) : audio.wasWritten);

/** Start with an empty log and no audio, for another source. */
function reset() {
  player.stop();
  serverAudio = null;
  log = new SessionLog();
  audio = new AudioRingBuffer(SERVER_RATE_HZ);
  timeline.show(log, audio, player);
  summaryPanel.show(log, audio, "");
}

/** Render once per frame, however many events arrive, for instance after a reconnect. */
function scheduleRender() {
  timeline.redraw();
  if (renderScheduled) return;
  renderScheduled = true;
  requestAnimationFrame(() => {
    renderScheduled = false;
    view.render(state);
    timeline.updateCount();
    summaryPanel.name = view.title;
    summaryPanel.update();
    updateTools();
    updatePlayback();
    sourcePicker.setLocalShown(state.local !== null);
  });
}

// Sessions of this page ------------------------------------------------------------------------

/** Back to the server's streams. */
function showServer() {
  opening?.stop();
  closeLocal();
  state = { ...INITIAL, streams: state.streams };
  reset();
  subscriber.forgetPosition();
  subscriber.subscribe(lastStream);
}

/**
 * Send one of this browser's own sources, to its end. What is shown stays until there is audio: a microphone
 * may be refused, and a file may not be decodable.
 *
 * @param {"microphone" | "recording"} kind
 * @param {(session: LocalSession) => Promise<void>} send
 * @param {(voice: import("./client.d.ts").EnrolledVoice | null) => void} [onVoice]  Called at its end.
 */
async function startLocal(kind, send, onVoice = () => {}) {
  opening?.stop();
  const session = new LocalSession({ base, token: storedToken(), report: onReport, onAudio });
  opening = session;
  sourcePicker.setRunning(null);
  sourcePicker.setRunning(kind, "asking");
  try {
    await send(session);
  } catch (error) {
    const current = local === session || opening === session;
    if (current && error.name !== "AbortError") sourcePicker.showError(error);
  }
  if (opening === session) opening = null;
  updateRunning();

  function onReport(reported) {
    if (opening === session) {
      opening = null;
      subscriber.stop();
      local?.close();
      local = session;
    }
    if (local !== session) return;
    if (reported.kind === "phase" && reported.phase === "live") sourcePicker.listDevices();
    report(reported);
    if (reported.kind === "event" && reported.event.type === "closed") onVoice(reported.event.speaker);
    if (reported.kind === "phase") updateRunning();
  }

  function onAudio(fromMs, samples, rateHz) {
    if (local !== session) return;
    if (audio.rateHz !== rateHz && audio.endMs === 0) {
      audio = new AudioRingBuffer(rateHz);
      timeline.show(log, audio, player);
      summaryPanel.show(log, audio, view.title);
    }
    audio.write(fromMs, samples);
    log.advance(audio.endMs, performance.now());
    if (opening === null) sourcePicker.addAudio(samples, (samples.length * 1_000) / rateHz);
    timeline.redraw();
  }
}

/** Show in the panel which of this browser's own sources is in progress. */
function updateRunning() {
  if (opening !== null) return;
  const { phase } = state.connection;
  const inProgress = local !== null && IN_PROGRESS.has(phase);
  sourcePicker.setRunning(inProgress ? state.local.kind : null, phase === "stopping" ? "ending" : "on");
}

/** The first time the audio ends and the last results still arrive; the second time the session ends at once. */
function stopLocal() {
  if (opening !== null) return opening.stop();
  if (local === null) return;
  if (["stopping", "reconnecting", "connecting"].includes(state.connection.phase)) local.cancel();
  else local.stop();
}

function closeLocal() {
  local?.close();
  local = null;
  sourcePicker.setRunning(null);
}

// The selected utterance -----------------------------------------------------------------------

function findFinal(key) {
  return log.finals.findLast((final) => final.key === key) ?? null;
}

function onSelect() {
  inspector.show(findFinal(timeline.selected), log.labels);
  updatePlayback();
}

function play(key) {
  const final = findFinal(key);
  const { startMs, endMs } = final ?? {};
  if (final !== null && sound().has(startMs, endMs)) player.toggle(key, sound(), startMs, endMs);
}

/** From just behind the live edge, so that there is always something to play; of what is over, from its beginning. */
function listen() {
  const running = state.connection.phase === "live";
  player.listen(sound(), running ? Math.max(0, audio.endMs - LISTEN_BEHIND_MS) : (sound().fromMs ?? 0));
  if (running) timeline.follow();
}

function deselect() {
  timeline.select(null);
  document.getElementById("timeline").focus({ preventScroll: true });
}

function step(by) {
  const at = log.finals.findLastIndex(({ key }) => key === timeline.selected);
  const next = log.finals[at + by];
  if (next) timeline.select(next.key);
}

function updatePlayback() {
  const final = findFinal(timeline.selected);
  if (final === null) return;
  inspector.setPlayback({
    available: sound().has(final.startMs, final.endMs),
    playing: player.playing === final.key,
    recorded: hasSound(),
  });
}

function updateTools() {
  document.getElementById("timeline-now").hidden = timeline.follows;
  const listening = player.playing === LISTENING;
  // A microphone of this page would hear itself.
  const recorded = hasSound() && state.local?.kind !== "microphone";
  document.getElementById("listen").hidden = !recorded && !listening;
  document.getElementById("listen").setAttribute("aria-pressed", String(listening));
  document.getElementById("zoom-in").disabled = !timeline.canZoomIn;
  document.getElementById("zoom-out").disabled = !timeline.canZoomOut;
  document.getElementById("timeline-part").hidden = log.session === null;
}

// The token ------------------------------------------------------------------------------------

/** @param {boolean} wrong  Whether a token was sent that is not valid. */
function askForToken(wrong) {
  if (wrong) storeToken(null);
  view.askForToken(wrong ? "The server does not accept this token." : "");
}

function useToken(event) {
  event.preventDefault();
  const token = view.token.trim();
  if (!/^[\x20-\x7e]+$/.test(token)) {
    view.askForToken("A token consists of Latin letters, digits and punctuation.");
    return;
  }
  storeToken(token);
  if (local !== null) {
    sourcePicker.select("server");
    closeLocal();
    state = { ...INITIAL, streams: state.streams };
    reset();
    subscriber.forgetPosition();
  }
  subscriber.useToken(token);
}

// Events of the page ---------------------------------------------------------------------------

function retryNow() {
  if (local !== null) local.retryNow();
  else subscriber.retryNow();
}

document.getElementById("socket-address").textContent = socketAddress(base);
document.getElementById("token-form").addEventListener("submit", useToken);
document.getElementById("retry").addEventListener("click", retryNow);
document
  .getElementById("stream-select")
  .addEventListener("change", ({ target }) => subscriber.subscribe(target.value));
document.getElementById("zoom-in").addEventListener("click", () => timeline.zoom(-1));
document.getElementById("zoom-out").addEventListener("click", () => timeline.zoom(1));
document.getElementById("listen").addEventListener("click", listen);
document.getElementById("timeline-now").addEventListener("click", () => timeline.follow());
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-select]") ?? null;
  if (button === null) return;
  timeline.select(button.dataset.select);
  // Its `scroll-margin-top` leaves room for the header that stays on top. Where all of it is higher than the
  // screen, its beginning is shown: the timeline, and what is selected.
  const part = document.getElementById("timeline-part");
  const fits = part.offsetHeight < innerHeight - document.querySelector(".masthead").offsetHeight;
  part.scrollIntoView({ block: fits ? "nearest" : "start" });
  document.getElementById("timeline").focus({ preventScroll: true });
});
document.getElementById("selected").addEventListener("keydown", ({ key }) => key === "Escape" && deselect());
document.getElementById("server-button").addEventListener("click", showServer);
for (const button of document.querySelectorAll("[data-source]")) {
  button.addEventListener("click", () => {
    sourcePicker.select(button.dataset.source);
    document.getElementById(`source-${button.dataset.source}`).querySelector("button").focus();
  });
}
window.addEventListener("online", () => {
  if (state.connection.phase === "reconnecting") retryNow();
});
window.addEventListener("pagehide", () => {
  subscriber.stop();
  opening?.stop();
  local?.cancel();
});
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted && local === null) subscriber.subscribe(state.stream);
});
timeline.show(log, audio, player);
summaryPanel.show(log, audio, "");
scheduleRender();
subscriber.subscribe();
