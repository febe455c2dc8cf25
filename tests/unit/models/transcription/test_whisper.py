"""The Whisper adapter on a real, random model: shapes, order, independence, odd input, damaged folders."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faster_whisper import WhisperModel
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from emostream.models.errors import DeviceError, TranscriberError
from emostream.models.transcription.hallucination import DEFAULT_THRESHOLDS, DecodedText, filter_hypothesis
from emostream.models.transcription.whisper import WhisperTranscriber
from emostream.models.transcription.whisper_decoding import Hypothesis, WhisperDecoder
from emostream.models.transcription.whisper_loader import (
    load_whisper_model,
    resolve_compute_type,
    resolve_whisper_device,
)
from emostream.models.transcription.whisper_options import WhisperOptions
from emostream.models.transcription.whisper_window import MAX_CLIP_S, token_limit, window_for
from emostream.models.types import SAMPLE_RATE_HZ, Clip, Samples, Transcript
from tests.support.speech import spoken, weights
from tests.support.tiny_whisper import BELIEVE_ALL, LANGUAGES, make_tiny_whisper

ENDING = "Ġw111"
"""A model whose text ends at this token writes 5 to 40 tokens for most clips."""

BELIEVE_ANY_WORDS = replace(
    BELIEVE_ALL,
    words_per_second=DEFAULT_THRESHOLDS.words_per_second,
    spare_words=DEFAULT_THRESHOLDS.spare_words,
)
"""No guard but the speaking rate."""


def sound(seconds: float, seed: int) -> Samples:
    """Amplitude-modulated noise: (N,) float32. The model writes different texts for different seeds."""
    n = int(seconds * SAMPLE_RATE_HZ)
    noise = np.random.default_rng(seed).normal(0.0, 0.2, n)
    return (noise * np.sin(np.arange(n) / (300.0 + 400.0 * seed))).astype(np.float32)


def opened(folder: Path, compute_type: str = "int8") -> WhisperModel:
    return load_whisper_model(folder, WhisperOptions("cpu", compute_type, cpu_threads=2))


def believing(folder: Path) -> WhisperTranscriber:
    return WhisperTranscriber(opened(folder), "whisper tiny (int8, cpu)", BELIEVE_ALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_whisper(tmp_path_factory.mktemp("english"))


@pytest.fixture(scope="module")
def english(folder: Path) -> WhisperTranscriber:
    return believing(folder)


@pytest.fixture(scope="module")
def multilingual_model(tmp_path_factory: pytest.TempPathFactory) -> WhisperModel:
    return opened(make_tiny_whisper(tmp_path_factory.mktemp("multilingual"), multilingual=True))


@pytest.fixture(scope="module")
def multilingual(multilingual_model: WhisperModel) -> WhisperTranscriber:
    return WhisperTranscriber(multilingual_model, "whisper tiny (int8, cpu)", BELIEVE_ALL)


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory) -> WhisperModel:
    return opened(make_tiny_whisper(tmp_path_factory.mktemp("ending"), ends_for=ENDING))


@pytest.fixture
def broken(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "broken"))


def same(a: Transcript, b: Transcript) -> bool:
    """Equal but for the last digits of the probabilities, which follow the batch's matrix shapes."""
    spans = [(w.text, w.start, w.end) for w in a.words] == [(w.text, w.start, w.end) for w in b.words]
    close = np.allclose(
        [w.confidence or 0.0 for w in a.words], [w.confidence or 0.0 for w in b.words], atol=1e-3
    )
    return spans and close and (a.text, a.language, a.rejected) == (b.text, b.language, b.rejected)


def unspaced(text: str) -> str:
    return "".join(text.split())


@pytest.mark.long
def test_batched_transcripts_equal_single_ones(english: WhisperTranscriber) -> None:
    lengths_s = (0.7, 3.0, 1.2345, 28.0, 0.05)
    clips = [Clip(sound(seconds, seed)) for seed, seconds in enumerate(lengths_s)]
    alone = [english.transcribe([clip])[0] for clip in clips]
    together = english.transcribe(clips)
    reversed_ = english.transcribe(clips[::-1])[::-1]
    assert len({t.text for t in alone}) > 2, "the transcripts must differ for this to mean anything"
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))
    assert all(same(a, b) for a, b in zip(alone, reversed_, strict=True))


def test_several_batches_keep_the_order_of_the_clips(
    english: WhisperTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [Clip(sound(0.3, seed)) for seed in range(3)]
    monkeypatch.setattr(english, "_pass_clips", 3)
    at_once = english.transcribe(clips)
    monkeypatch.setattr(english, "_pass_clips", 2)
    in_parts = english.transcribe(clips)
    assert all(same(a, b) for a, b in zip(at_once, in_parts, strict=True))


def test_words_lie_in_order_inside_their_clip(english: WhisperTranscriber) -> None:
    clips = [Clip(sound(seconds, seed)) for seed, seconds in enumerate((0.5, 2.0, 7.0))]
    for clip, transcript in zip(clips, english.transcribe(clips), strict=True):
        assert transcript.words
        assert transcript.language == "en"
        edges = [edge for word in transcript.words for edge in (word.start, word.end)]
        assert edges == sorted(edges)
        assert edges[0] >= 0
        assert edges[-1] <= len(clip.samples)
        assert all(word.confidence is not None and 0.0 <= word.confidence <= 1.0 for word in transcript.words)
        # A prefix, because faster-whisper gives no word to a tail that is no valid UTF-8.
        joined = "".join(word.text for word in transcript.words)
        assert unspaced(transcript.text).startswith(unspaced(joined))


def test_segments_with_timestamps_become_one_transcript(tmp_path: Path) -> None:
    stamping = believing(make_tiny_whisper(tmp_path, time_stamps=True))
    clip = Clip(sound(3.0, 1))
    alone, first = stamping.transcribe([clip])[0], stamping.transcribe([clip, Clip(sound(1.0, 2))])[0]
    assert same(alone, first)
    assert "<|" not in alone.text


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(160, np.float32),
        np.ones(160, np.float32),
        np.zeros(16_000, np.float32),
        np.full(16_000, np.nan, np.float32),
    ],
    ids=["empty", "10 ms of silence", "10 ms", "silence", "nothing but NaN"],
)
def test_a_silent_clip_has_no_text(english: WhisperTranscriber, samples: Samples) -> None:
    assert english.transcribe([Clip(samples)]) == [Transcript("")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_invalid_samples_give_a_transcript(english: WhisperTranscriber, value: float) -> None:
    harmed = sound(1.0, 0)
    harmed[::100] = value
    healthy = Clip(sound(1.0, 1))
    _, neighbour = english.transcribe([Clip(harmed), healthy])
    assert same(neighbour, english.transcribe([healthy])[0])


def test_no_clips_give_no_transcripts(english: WhisperTranscriber) -> None:
    assert english.transcribe([]) == []


def test_a_clip_longer_than_the_window_is_rejected(english: WhisperTranscriber) -> None:
    with pytest.raises(TranscriberError, match=r"at most 30 s, got one of 30\.5 s"):
        english.transcribe([Clip(sound(30.5, 0))])


def test_an_english_model_ignores_other_language_hints_with_one_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    english, clip = believing(folder), sound(0.5, 0)
    with caplog.at_level(logging.WARNING, logger="emostream"):
        hinted = english.transcribe([Clip(clip, "pl-PL"), Clip(clip, "pl"), Clip(clip, "en-GB"), Clip(clip)])
        english.transcribe([Clip(clip, "de")])
    assert [t.language for t in hinted] == ["en"] * 4
    assert len(caplog.records) == 1
    assert "pl-PL" in caplog.records[0].message


def test_a_multilingual_model_follows_each_clips_hint(multilingual: WhisperTranscriber) -> None:
    clips = [Clip(sound(0.5, 0), hint) for hint in ("pl", "de-AT", "en", "PL")]
    together = multilingual.transcribe(clips)
    assert [t.language for t in together] == ["pl", "de", "en", "pl"]
    assert same(together[1], multilingual.transcribe([clips[1]])[0])


def test_a_short_clip_is_in_the_language_that_is_expected(multilingual: WhisperTranscriber) -> None:
    clips = [Clip(sound(1.2, seed), expected_language="pl") for seed in range(4)]
    clips += [Clip(sound(1.2, 0), "de", expected_language="pl")]
    transcripts = multilingual.transcribe(clips)
    assert [one.language for one in transcripts] == ["pl"] * 4 + ["de"]
    assert not any(one.language_certain for one in transcripts)


def test_a_long_and_clear_clip_is_in_its_own_language(
    multilingual: WhisperTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranking = [("de", 0.8), ("pl", 0.1), ("en", 0.1)]
    monkeypatch.setattr(WhisperDecoder, "detect_languages", lambda _, encoded: [ranking] * encoded.shape[0])
    clip = Clip(sound(2.0, 0), expected_language="pl")
    (one,) = multilingual.transcribe([clip])
    assert (one.language, one.language_certain) == ("de", bool(one.text))


def limits_of(
    monkeypatch: pytest.MonkeyPatch, transcriber: WhisperTranscriber, clips: list[Clip]
) -> list[int]:
    """The token limits of the texts that are decoded, in turn."""
    limits: list[int] = []
    decode = WhisperDecoder.decode

    def recorded(decoder: WhisperDecoder, encoded: Any, languages: list[str], limit: int) -> list[Hypothesis]:
        limits.append(limit)
        return decode(decoder, encoded, languages, limit)

    with monkeypatch.context() as patch:
        patch.setattr(WhisperDecoder, "decode", recorded)
        transcriber.transcribe(clips)
    return limits


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_text_may_have_as_many_tokens_as_its_detected_language_needs(
    multilingual_model: WhisperModel, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    transcriber = WhisperTranscriber(multilingual_model, "whisper tiny (int8, cpu)", BELIEVE_ANY_WORDS)
    monkeypatch.setattr(
        WhisperDecoder, "detect_languages", lambda _, encoded: [[(language, 0.8)]] * encoded.shape[0]
    )
    limit = token_limit(2.0, language == "en", BELIEVE_ANY_WORDS)
    assert limit != token_limit(2.0, language != "en", BELIEVE_ANY_WORDS)
    clip = Clip(sound(2.0, 0))
    assert limits_of(monkeypatch, transcriber, [clip]) == [limit]
    assert limits_of(monkeypatch, transcriber, [replace(clip, language=language)]) == [limit]


def test_clips_of_one_pass_in_two_languages_are_transcribed_as_on_their_own(
    multilingual_model: WhisperModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcriber = WhisperTranscriber(multilingual_model, "whisper tiny (int8, cpu)", BELIEVE_ANY_WORDS)
    clips = [Clip(sound(2.0, seed)) for seed in (0, 1)]
    encode = WhisperDecoder(multilingual_model).encode
    middle = np.mean([np.asarray(encode([clip.samples], 1000))[0, :100, 0].mean() for clip in clips])

    def detected(_: WhisperDecoder, encoded: Any) -> list[list[tuple[str, float]]]:
        return [[("en" if one[:100, 0].mean() > middle else "de", 0.8)] for one in np.asarray(encoded)]

    monkeypatch.setattr(WhisperDecoder, "detect_languages", detected)
    together = transcriber.transcribe(clips)
    assert {one.language for one in together} == {"en", "de"}
    for clip, one in zip(clips, together, strict=True):
        assert same(one, transcriber.transcribe([clip])[0])
        assert same(one, transcriber.transcribe([replace(clip, language=one.language)])[0])


def test_without_a_hint_the_language_of_each_clip_is_detected(multilingual: WhisperTranscriber) -> None:
    clips = [Clip(sound(0.5, 0)), Clip(sound(2.0, 1), "de"), Clip(sound(1.0, 2), "tlh")]
    together = multilingual.transcribe(clips)
    assert {t.language for t in together} <= set(LANGUAGES)
    assert all(same(t, multilingual.transcribe([c])[0]) for t, c in zip(together, clips, strict=True))


def test_hallucination_filters_apply_to_the_output(folder: Path, english: WhisperTranscriber) -> None:
    filtered = WhisperTranscriber.load(folder, label="tiny", device="cpu", cpu_threads=2)
    clips = [Clip(sound(seconds, seed)) for seed, seconds in enumerate((0.5, 2.0, 7.0))]
    believed, babbled = filtered.transcribe(clips), english.transcribe(clips)
    assert all(len(b.text) < len(a.text) / 2 for a, b in zip(babbled, believed, strict=True))
    assert any(b.rejected for b in believed)


def test_the_window_has_silence_after_the_clip_up_to_its_maximum() -> None:
    assert [window_for(clip_s) for clip_s in (0.0, 3.0, 7.0, 7.1, 12.0, 12.1, 17.0, 17.1, 30.0)] == [
        *(10, 10, 10, 15, 15, 20, 20, 30, 30)
    ]
    windows = [window_for(n / 100) for n in range(100 * MAX_CLIP_S + 1)]
    assert windows == sorted(windows)
    assert all(n / 100 + 3 <= window or window == MAX_CLIP_S for n, window in enumerate(windows))


@pytest.mark.parametrize("clip_s", [0.5, 2.0, 5.0])
def test_the_token_limit_is_above_every_accepted_text(clip_s: float) -> None:
    limit = token_limit(clip_s, True, DEFAULT_THRESHOLDS)
    count = next(
        n for n in range(1, 1_000) if filter_hypothesis(DecodedText(words(n + 1), (), clip_s)).rejected
    )
    assert filter_hypothesis(DecodedText(words(count), (), clip_s)).text == words(count)
    assert 1.5 * count <= limit <= 2.0 * count + 8
    assert token_limit(clip_s, False, DEFAULT_THRESHOLDS) >= 4.0 * count


def test_the_token_limit_grows_with_the_clip_up_to_the_model_s_maximum() -> None:
    limits = [token_limit(n / 10, True, DEFAULT_THRESHOLDS) for n in range(301)]
    assert limits == sorted(limits)
    assert limits[-1] == token_limit(1.0, True, BELIEVE_ALL) == 224


def words(count: int) -> str:
    """So many different words, without a loop and with a low compression ratio."""
    letters = np.random.default_rng(count).integers(ord("a"), ord("z") + 1, (count, 6), dtype=np.uint8)
    return " ".join(row.tobytes().decode("ascii") for row in letters)


@pytest.mark.parametrize("frames", [3000, 1000])
def test_a_shorter_window_equals_an_encoder_with_fewer_positions(folder: Path, frames: int) -> None:
    clip = sound(4.0, 1)
    encoded = np.asarray(WhisperDecoder(opened(folder, "float32")).encode([clip], frames))
    original = WhisperForConditionalGeneration.from_pretrained(folder.parent / "transformers").model.encoder
    extractor = WhisperFeatureExtractor(feature_size=80)
    # faster-whisper lets 10 ms of silence follow, lest the last frame mirror the sound.
    followed = np.pad(clip, (0, 160))
    mels = extractor(followed, sampling_rate=SAMPLE_RATE_HZ, padding=False, return_tensors="pt")
    features = torch.nn.functional.pad(mels.input_features[..., :400], (0, frames - 400))
    with torch.inference_mode():
        states = torch.nn.functional.gelu(original.conv1(features))
        states = torch.nn.functional.gelu(original.conv2(states)).transpose(1, 2)  # (1, frames / 2, D)
        states = states + original.embed_positions.weight[: frames // 2]
        for layer in original.layers:
            states = layer(states, attention_mask=None)
            states = states[0] if isinstance(states, tuple) else states
        wanted = original.layer_norm(states).numpy()
    assert encoded.shape == (1, frames // 2, 16)
    np.testing.assert_allclose(encoded, wanted, atol=1e-3)


def written(model: WhisperModel, clip: Samples, limit: int) -> Hypothesis:
    decoder = WhisperDecoder(model)
    (one,) = decoder.decode(decoder.encode([clip], 1000), ["en"], limit)
    return one


def test_a_text_that_ends_at_the_token_limit_is_complete(ending: WhisperModel) -> None:
    texts = [(clip, written(ending, clip, 223)) for clip in (sound(1.2, seed) for seed in range(8))]
    ended = [(clip, one) for clip, one in texts if 5 < len(one.tokens) < 100]
    assert ended, "the model must end a text itself, or this means nothing"
    for clip, one in ended:
        length = len(one.tokens)
        assert written(ending, clip, length + 8) == one
        assert not written(ending, clip, length // 2).complete
    # CTranslate2 counts the token that ends a text.
    assert any(written(ending, clip, len(one.tokens) + 1) == one for clip, one in ended)


def test_interim_words_have_the_same_text_without_times(english: WhisperTranscriber) -> None:
    clips = [Clip(sound(1.2, seed)) for seed in range(4)]
    whole = english.transcribe(clips)
    assert any(one.words for one in whole)
    assert english.transcribe_interim(clips) == [replace(one, words=()) for one in whole]


def test_rejection_of_runaway_text_does_not_depend_on_the_batch(ending: WhisperModel) -> None:
    transcriber = WhisperTranscriber(ending, "whisper tiny (int8, cpu)", BELIEVE_ANY_WORDS)
    clips = [Clip(sound(0.4 * (seed + 1), seed)) for seed in range(16)]
    together = transcriber.transcribe(clips)
    alone = [transcriber.transcribe([clip])[0] for clip in clips]
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))
    assert 3 < sum(t.rejected == "impossible speaking rate" for t in together) < 13
    assert all(bool(t.text) != bool(t.rejected) for t in together)


@pytest.mark.data
def test_rejection_of_a_loop_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    model = opened(weights("whisper-tiny.en-relearned"))
    transcriber = WhisperTranscriber(model, "whisper tiny (int8, cpu)")
    lost = Clip(spoken("She was walking slowly along the river with her dog.", "rms", tmp_path))
    noise = Clip(np.random.default_rng(0).normal(0.0, 0.02, 48_000).astype(np.float32))
    longer = Clip(
        spoken("I can't believe you did that to me, it makes me so angry and so sad.", "slt", tmp_path)
    )
    alone = [transcriber.transcribe([clip])[0] for clip in (lost, noise, longer)]
    together = transcriber.transcribe([lost, noise, longer])
    assert window_for(lost.seconds) == window_for(noise.seconds) == window_for(longer.seconds)
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))
    limit = token_limit(noise.seconds, True, DEFAULT_THRESHOLDS)
    assert not written(model, noise.samples, limit).complete, (
        "the model must exceed the limit for this to mean something"
    )
    assert together[1].rejected


def test_the_name_contains_model_precision_and_device(folder: Path) -> None:
    assert WhisperTranscriber.load(folder, label="tiny", device="cpu").name == "whisper tiny (int8, cpu)"
    exact = WhisperTranscriber.load(folder, label="tiny", device="cpu", compute_type="float32")
    assert exact.name == "whisper tiny (float32, cpu)"


def test_loading_transcribes_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[str] = []
    warm_up = WhisperTranscriber.warm_up

    def counted(self: WhisperTranscriber) -> None:
        warmed.append(self.name)
        warm_up(self)

    monkeypatch.setattr(WhisperTranscriber, "warm_up", counted)
    WhisperTranscriber.load(folder, label="tiny", device="cpu")
    assert warmed == ["whisper tiny (int8, cpu)"]


def test_a_missing_folder_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(TranscriberError, match=r"found none at .*nowhere"):
        WhisperTranscriber.load(tmp_path / "nowhere", label="x")


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_missing_file_is_an_error_with_its_path(broken: Path, name: str) -> None:
    (broken / name).unlink()
    with pytest.raises(TranscriberError, match=f"lacks {name}"):
        WhisperTranscriber.load(broken, label="x", device="cpu")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    path.write_text("this is not what it was")


@pytest.mark.parametrize("damage", [truncate, empty, scramble])
@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_damaged_file_is_reported_in_one_line(
    broken: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(broken / name)
    with pytest.raises(TranscriberError, match="cannot be used") as caught:
        WhisperTranscriber.load(broken, label="x", device="cpu")
    assert "\n" not in str(caught.value)
    assert str(broken) in str(caught.value)


def test_features_of_another_size_are_rejected_while_loading(broken: Path) -> None:
    (broken / "preprocessor_config.json").write_text(json.dumps({"feature_size": 128}))
    with pytest.raises(TranscriberError, match="cannot be used"):
        WhisperTranscriber.load(broken, label="x", device="cpu")


def no_graphics(monkeypatch: pytest.MonkeyPatch, count: int = 0) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: count)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    no_graphics(monkeypatch)
    assert resolve_whisper_device("auto") == resolve_whisper_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="expected a CUDA device"):
        resolve_whisper_device("cuda")
    with pytest.raises(DeviceError, match="got 'tpu'"):
        resolve_whisper_device("tpu")
    no_graphics(monkeypatch, count=1)
    assert resolve_whisper_device("auto") == resolve_whisper_device("cuda") == "cuda"


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    supported = {"cpu": {"int8", "float32"}, "cuda": {"int8", "float32", "float16"}}
    monkeypatch.setattr("ctranslate2.get_supported_compute_types", supported.__getitem__)
    assert resolve_compute_type("default", "cpu") == "int8"
    assert resolve_compute_type("default", "cuda") == "float16"
    assert resolve_compute_type("auto", "cpu") == "auto"
    with pytest.raises(TranscriberError, match="got 'int3': choose default, auto, float32, int8"):
        resolve_compute_type("int3", "cpu")


def test_auto_ignores_a_gpu_that_cannot_be_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without_libraries(folder: Path, options: WhisperOptions) -> WhisperModel:
        if options.device == "cuda":
            raise TranscriberError("libcublas is missing")
        return load_whisper_model(folder, options)

    no_graphics(monkeypatch, count=1)
    monkeypatch.setattr("emostream.models.transcription.whisper.load_whisper_model", without_libraries)
    with caplog.at_level(logging.WARNING, logger="emostream"):
        transcriber = WhisperTranscriber.load(folder, label="tiny", device="auto")
    assert transcriber.name == "whisper tiny (int8, cpu)"
    assert [record.message for record in caplog.records if "libcublas" in record.message]
