/** Joins connection, state and page. */
import { Follower, socketAddress } from "./protocol.js";
import { INITIAL, reduce } from "./state.js";
import { View } from "./view.js";

// In this tab only, and never in the address, which histories and logs keep.
const TOKEN = "emostream.token";

let state = INITIAL;
let drawing = false;
const view = new View();

/** Many events at once, as after a reconnect, are one drawing. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    view.render(state);
  });
}

const follower = new Follower({
  base: location.href,
  token: storedToken(),
  report: (report) => {
    state = reduce(state, report);
    if (report.kind === "token") askForToken(report.wrong);
    if (report.kind === "missed") view.tellMissed(report.session);
    draw();
  },
});

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

document.getElementById("socket-address").textContent = socketAddress(location.href);
document.getElementById("token-form").addEventListener("submit", useToken);
document.getElementById("retry").addEventListener("click", () => follower.retryNow());
document.getElementById("stream-select").addEventListener("change", ({ target }) => follower.follow(target.value));
window.addEventListener("online", () => {
  if (state.connection.phase === "reconnecting") follower.retryNow();
});
window.addEventListener("pagehide", () => follower.stop());
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) follower.follow(state.stream);
});
draw();
follower.follow();
