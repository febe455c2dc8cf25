/**
 * The voice that this browser has learned: means of hidden states, no sound. It stays in the browser's storage
 * until it is forgotten; a server gets it with each microphone session, for that session.
 *
 * @typedef {import("./client.d.ts").EnrolledVoice} EnrolledVoice
 */

const KEY = "emostream.voice";

/** @returns {EnrolledVoice | null} Null where none was learned, or the browser keeps nothing for this page. */
export function storedVoice(storage = browserStorage()) {
  try {
    const voice = JSON.parse(storage?.getItem(KEY) ?? "null");
    return Number.isInteger(voice?.utterances) ? voice : null;
  } catch {
    return null; // not what this page has written
  }
}

/** @param {EnrolledVoice | null} voice  Null: forget it. @returns {boolean} Whether the browser keeps it. */
export function storeVoice(voice, storage = browserStorage()) {
  try {
    if (voice === null) storage?.removeItem(KEY);
    else storage?.setItem(KEY, JSON.stringify(voice));
    return storage !== null;
  } catch {
    return false; // full, or not allowed
  }
}

/** Reading the property itself may be forbidden. */
function browserStorage() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
