/** Joins connection, state and page. */
import { Follower, socketAddress } from "./protocol.js";
import { INITIAL, reduce } from "./state.js";
import { View } from "./view.js";

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
  report: (report) => {
    state = reduce(state, report);
    draw();
  },
});

document.getElementById("socket-address").textContent = socketAddress(location.href);
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
