/** The voice that the browser keeps. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { storeVoice, storedVoice } from "../../../demo/voice_store.js";

const VOICE = { total: "AAAA", weight: 1.5, utterances: 3, probe: "AAAA" };

/** As a browser's Storage. */
class FakeStorage extends Map {
  getItem = (key) => this.get(key) ?? null;
  setItem = (key, value) => this.set(key, value);
  removeItem = (key) => this.delete(key);
}

test("a voice is kept until it is forgotten", () => {
  const storage = new FakeStorage();
  assert.equal(storedVoice(storage), null);
  assert.equal(storeVoice(VOICE, storage), true);
  assert.deepEqual(storedVoice(storage), VOICE);
  storeVoice(null, storage);
  assert.equal(storedVoice(storage), null);
  assert.equal(storage.size, 0);
});

test("what the page has not written is no voice", () => {
  for (const text of ["", "{", "3", "[]", '{"utterances": "many"}']) {
    const storage = new FakeStorage([["emostream.voice", text]]);
    assert.equal(storedVoice(storage), null);
  }
});

test("a browser that keeps nothing says so", () => {
  const full = new FakeStorage();
  full.setItem = () => {
    throw new Error("QuotaExceededError");
  };
  assert.equal(storeVoice(VOICE, full), false);
  assert.equal(storeVoice(VOICE, null), false);
  assert.equal(storedVoice(null), null);
});
