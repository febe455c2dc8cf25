/** Joins the sources, what is known of them, and the page. */
import { Inspector } from "./inspector.js";
import { Journal } from "./journal.js";
import { KeptSound } from "./kept.js";
import { Overview } from "./overview.js";
import { OwnSession } from "./own.js";
import { Follower, socketAddress } from "./protocol.js";
import { HeldSound, Player } from "./sound.js";
import { Sources } from "./sources.js";
import { INITIAL, reduce } from "./state.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";

// In this tab only, and never in the address, which histories and logs keep.
const TOKEN = "emostream.token";
const SERVER_HZ = 16_000; // of the sound that the server keeps
const GOES_ON = new Set(["connecting", "live", "reconnecting", "stopping"]);
const base = location.href;

let state = INITIAL;
let journal = new Journal();
let sound = new HeldSound(SERVER_HZ);
let own = null; // the OwnSession that goes on, or was last shown
let opening = null; // the one that has no sound yet: the browser asks, or decodes
let watched = null; // the name of the server's stream that was watched last
let kept = null; // fetches the sound of the stream that is watched
let drawing = false;

const view = new View();
const player = new Player(() => changed());
const overview = new Overview();
const timeline = new Timeline(document.getElementById("timeline"), { onChoose, onHear: hear, onMove: showTools });
const inspector = new Inspector(document.getElementById("chosen"), {
  onHear: () => hear(timeline.chosen),
  onClose: letGo,
  onStep: step,
});
const follower = new Follower({ base, token: storedToken(), report });
const sources = new Sources({
  onMicrophone: (deviceId) => begin("microphone", (session) => session.listen(deviceId)),
  onRecording: (file, pace) =>
    begin("recording", (session) => session.play(file, { pace, onLength: (ms) => sources.setLength(ms) })),
  onStop: stopOwn,
});

/** @param {import("./protocol.js").Report | import("./own.js").LostReport} told */
function report(told) {
  const before = state;
  if (told.kind === "event") {
    const event = journal.take(told.event, told.wire, performance.now(), told.startMs ?? null);
    if (event !== null) state = reduce(state, { ...told, event });
  } else {
    state = reduce(state, told);
  }
  if (state.stream !== before.stream && before.stream !== null) startAnew();
  if (told.kind === "phase") onPhase(told);
  if (told.kind === "token") askForToken(told.wrong);
  if (told.kind === "missed") view.tellMissed(told.session);
  changed();
}

function onPhase({ phase, stream }) {
  const now = performance.now();
  if (phase === "live") journal.start(now);
  else journal.stop(now);
  if (own !== null) return;
  watched = stream ?? watched;
  const keeps = state.streams.some(({ name, audioMs }) => name === stream && audioMs > 0);
  if (phase === "live" && keeps && kept === null) fetchKept(stream);
  if (phase !== "live" && phase !== "ended") stopFetching(); // of an end the last sound still comes
}

function fetchKept(stream) {
  const [written, held, offsetMs] = [journal, sound, journal.offsetMs];
  kept = new KeptSound({ base, token: storedToken() });
  const take = (fromMs, samples) => {
    held.add(offsetMs + fromMs, samples);
    written.reach(held.endMs, performance.now());
    timeline.change();
  };
  const fromMs = Math.max(0, held.endMs - offsetMs);
  kept.follow(stream, { fromMs, take, isLive: () => state.connection.phase === "live" });
}

function stopFetching() {
  kept?.stop();
  kept = null;
}

/** Another source is another story. */
function startAnew() {
  player.stop();
  stopFetching();
  journal = new Journal();
  sound = new HeldSound(SERVER_HZ);
  timeline.show(journal, sound, player);
  overview.show(journal, sound, "");
}

/** Back to the server's streams: what the page heard itself is shown no more. */
function watchServer() {
  opening?.stop();
  endOwn();
  state = { ...INITIAL, streams: state.streams };
  startAnew();
  follower.forget();
  follower.follow(watched);
}

/**
 * Hear one of the page's own sources, to its end. What is shown goes on until there is something to hear: a
 * microphone may be refused, and a file may be none.
 *
 * @param {"microphone" | "recording"} kind
 * @param {(session: OwnSession) => Promise<void>} run
 */
async function begin(kind, run) {
  opening?.stop();
  const session = new OwnSession({ base, token: storedToken(), report: reportOf, onSound });
  opening = session;
  sources.setRunning(null);
  sources.setRunning(kind, "asking");
  try {
    await run(session);
  } catch (error) {
    const wanted = own === session || opening === session;
    if (wanted && error.name !== "AbortError") sources.tell(error);
  }
  if (opening === session) opening = null;
  showRunning();

  function reportOf(told) {
    if (opening === session) {
      opening = null;
      follower.stop();
      stopFetching();
      own?.close();
      own = session;
    }
    if (own !== session) return;
    if (told.kind === "phase" && told.phase === "live") sources.listDevices();
    report(told);
    if (told.kind === "phase") showRunning();
  }

  function onSound(fromMs, samples, rate) {
    if (own !== session) return;
    if (sound.rate !== rate && sound.endMs === 0) {
      sound = new HeldSound(rate);
      timeline.show(journal, sound, player);
      overview.show(journal, sound, view.title);
    }
    sound.add(fromMs, samples);
    journal.reach(sound.endMs, performance.now());
    if (opening === null) sources.hear(samples, (samples.length * 1_000) / rate);
    timeline.change();
  }
}

/** What of the page's own goes on, as the panel shall show it. */
function showRunning() {
  if (opening !== null) return;
  const { phase } = state.connection;
  const goesOn = own !== null && GOES_ON.has(phase);
  sources.setRunning(goesOn ? state.own.kind : null, phase === "stopping" ? "ending" : "on");
}

/** The first time it ends where it is, and the last words are judged; the second time at once. */
function stopOwn() {
  if (opening !== null) return opening.stop();
  if (own === null) return;
  if (["stopping", "reconnecting", "connecting"].includes(state.connection.phase)) own.leave();
  else own.stop();
}

function endOwn() {
  own?.close();
  own = null;
  sources.setRunning(null);
}

/** Many events at once, as after a reconnect, are one drawing. */
function changed() {
  timeline.change();
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    view.render(state);
    timeline.count();
    overview.name = view.title;
    overview.change();
    showTools();
    showHearing();
    sources.setElsewhere(state.own !== null);
  });
}

function chosen() {
  return journal.finals.findLast(({ key }) => key === timeline.chosen) ?? null;
}

function onChoose() {
  inspector.show(chosen(), journal.labels);
  showHearing();
}

function hear(key) {
  const one = journal.finals.findLast((final) => final.key === key);
  if (one && sound.holds(one.startMs, one.endMs)) player.toggle(key, sound, one.startMs, one.endMs);
}

function letGo() {
  timeline.choose(null);
  document.getElementById("timeline").focus({ preventScroll: true });
}

function step(by) {
  const at = journal.finals.findLastIndex(({ key }) => key === timeline.chosen);
  const next = journal.finals[at + by];
  if (next) timeline.choose(next.key);
}

function showHearing() {
  const one = chosen();
  if (one === null) return;
  inspector.setHearing({
    held: sound.holds(one.startMs, one.endMs),
    playing: player.playing === one.key,
    expected: sound.expected,
  });
}

function showTools() {
  document.getElementById("timeline-now").hidden = timeline.follows;
  document.getElementById("zoom-in").disabled = !timeline.canZoomIn;
  document.getElementById("zoom-out").disabled = !timeline.canZoomOut;
  document.getElementById("timeline-part").hidden = journal.session === null;
}

/** @param {boolean} wrong  Whether one was given that the server does not know. */
function askForToken(wrong) {
  if (wrong) storeToken(null);
  view.askForToken(wrong ? "The server does not know this token." : "");
}

function useToken(event) {
  event.preventDefault();
  const token = view.token.trim();
  if (!/^[\x20-\x7e]+$/.test(token)) {
    view.askForToken("A token is made of Latin letters, digits and signs.");
    return;
  }
  storeToken(token);
  if (own !== null) {
    sources.select("server");
    endOwn();
    state = { ...INITIAL, streams: state.streams };
    startAnew();
    follower.forget();
  }
  follower.useToken(token);
}

function storedToken() {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null; // a browser may forbid it: the token is asked for again after a reload
  }
}

/** @param {string | null} token */
function storeToken(token) {
  try {
    if (token === null) sessionStorage.removeItem(TOKEN);
    else sessionStorage.setItem(TOKEN, token);
  } catch {
    // as above
  }
}

function retryNow() {
  if (own !== null) own.retryNow();
  else follower.retryNow();
}

document.getElementById("socket-address").textContent = socketAddress(base);
document.getElementById("token-form").addEventListener("submit", useToken);
document.getElementById("retry").addEventListener("click", retryNow);
document.getElementById("stream-select").addEventListener("change", ({ target }) => follower.follow(target.value));
document.getElementById("zoom-in").addEventListener("click", () => timeline.zoom(-1));
document.getElementById("zoom-out").addEventListener("click", () => timeline.zoom(1));
document.getElementById("timeline-now").addEventListener("click", () => timeline.follow());
document.getElementById("utterances").addEventListener("click", ({ target }) => {
  const button = target.closest("[data-choose]");
  if (button === null) return;
  timeline.choose(button.dataset.choose);
  document.getElementById("timeline-part").scrollIntoView({ block: "nearest" });
  document.getElementById("timeline").focus({ preventScroll: true });
});
document.getElementById("chosen").addEventListener("keydown", ({ key }) => key === "Escape" && letGo());
document.getElementById("server-button").addEventListener("click", watchServer);
for (const link of document.querySelectorAll("[data-source]")) {
  link.addEventListener("click", () => {
    sources.select(link.dataset.source);
    document.getElementById(`source-${link.dataset.source}`).querySelector("button").focus();
  });
}
window.addEventListener("online", () => {
  if (state.connection.phase === "reconnecting") retryNow();
});
window.addEventListener("pagehide", () => {
  follower.stop();
  opening?.stop();
  own?.leave();
});
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted && own === null) follower.follow(state.stream);
});
timeline.show(journal, sound, player);
overview.show(journal, sound, "");
changed();
follower.follow();
