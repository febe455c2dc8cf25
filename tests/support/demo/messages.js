/** Messages of the wire protocol, complete and with values that can be predicted. */

export const LABELS = ["angry", "happy", "sad", "neutral"];

/** Probabilities over LABELS in which `label` has `p`. */
export function scores(label, p = 0.91) {
  return Object.fromEntries(LABELS.map((name) => [name, name === label ? p : (1 - p) / 3]));
}

/** A final `emotion` event with every field of the protocol. Utterance n begins at 4 n seconds and lasts 2.5. */
export function emotion(utterance, label = "angry", text = "stop it", changes = {}) {
  return {
    type: "emotion",
    utterance,
    final: true,
    start_ms: utterance * 4_000,
    end_ms: utterance * 4_000 + 2_500,
    reason: "silence",
    label,
    confidence: 0.91,
    reliable: true,
    uncertain: [],
    baseline_utterances: utterance - 1,
    probabilities: scores(label),
    audio_only: scores("neutral", 0.55),
    text_only: scores(label, 0.97),
    text,
    language: "en",
    words: [],
    timing: {
      endpoint_ms: 500,
      lead_ms: 300,
      queue_ms: 1,
      asr_ms: 120,
      align_ms: 2,
      emotion_ms: 38,
      total_ms: 661,
    },
    ...changes,
  };
}

export const interim = (utterance, label = "sad", changes = {}) =>
  emotion(utterance, label, "", { final: false, reason: "speaking", ...changes });

/** In place of a final: a sound without speech, where `emotion` would be. */
export const noEmotion = (utterance) => ({
  type: "no_emotion",
  utterance,
  start_ms: utterance * 4_000,
  end_ms: utterance * 4_000 + 2_500,
  reason: "no_speech",
  speech: 0.1,
});

export const speechStarted = (utterance) => ({ type: "speech_started", utterance, start_ms: utterance * 4_000 });

/** Numbered as a session numbers its events. */
export const numbered = (messages) => messages.map((message, i) => ({ ...message, seq: i + 1 }));
