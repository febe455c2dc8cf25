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
const base = location.href;

let state = INITIAL;
let journal = new Journal();
let sound = new HeldSound(SERVER_HZ);
let own = null; // the OwnSession that goes on, or was last shown
let kept = null; // fetches the sound of the stream that is watched
let drawing = false;

const view = new View();
const player = new Player(() => changed());
const overview = new Overview();
const timeline = new Timeline(document.getElementById("timeline"), { onChoose, onHear: hear, onMove: showTools });
const inspector = new Inspector(document.getElementById("chosen"), {
  onHear: () => hear(timeline.chosen),
  onClose: () => timeline.choose(null),
  onStep: step,
});
const follower = new Follower({ base, token: storedToken(), report });
const sources = new Sources({
  onServer: watchServer,
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
  const keeps = state.streams.some(({ name, audioMs }) => name === stream && audioMs > 0);
  if (phase === "live" && keeps && kept === null) fetchKept(stream);
  if (phase !== "live" && phase !== "ended") stopFetching(); // of an end the last sound still comes
}

function fetchKept(stream) {
  const [written, held, offsetMs] = [journal, sound, journal.offsetMs];
  held.expected = true;
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
function startAnew(rate = SERVER_HZ) {
  player.stop();
  stopFetching();
  journal = new Journal();
  sound = new HeldSound(rate);
  timeline.show(journal, sound, player);
  overview.show(journal, sound, "");
}

function watchServer() {
  endOwn();
  state = { ...INITIAL, streams: state.streams };
  startAnew();
  follower.forget();
  follower.follow();
}

/**
 * Hear one of the page's own sources, to its end.
 *
 * @param {"microphone" | "recording"} kind
 * @param {(session: OwnSession) => Promise<void>} run
 */
async function begin(kind, run) {
  endOwn();
  const session = new OwnSession({ base, token: storedToken(), report: reportOf, onSound });
  own = session;
  let first = true;
  sources.setRunning(kind);
  try {
    await run(session);
  } catch (error) {
    if (own === session && error.name !== "AbortError") sources.tell(error);
    if (own === session && first) own = null; // it never began: what was shown before goes on
  }
  if (own === session || own === null) sources.setRunning(null);

  function reportOf(told) {
    if (own !== session) return;
    if (first) {
      follower.stop();
      stopFetching();
    }
    first = false;
    if (told.kind === "phase" && told.phase === "live") sources.listDevices();
    report(told);
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
    sources.hear(samples, (samples.length * 1_000) / rate);
    timeline.change();
  }
}

/** The first time it ends where it is, and the last words are judged; the second time at once. */
function stopOwn() {
  if (own === null) return;
  const waits = ["stopping", "reconnecting", "connecting"].includes(state.connection.phase);
  if (waits && state.own !== null) own.leave();
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
    if (own !== null && state.connection.phase === "stopping") sources.setRunning(state.own?.kind ?? null, true);
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
  sources.select("server");
  endOwn();
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
  own?.close();
});
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted && own === null) follower.follow(state.stream);
});
timeline.show(journal, sound, player);
overview.show(journal, sound, "");
changed();
follower.follow();
