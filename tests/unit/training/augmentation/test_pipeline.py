"""Augmentation of clips and texts: as strong as specified, seeded, of the right length, aligned."""

from __future__ import annotations

from collections.abc import Callable

import jiwer
import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from emostream.models import Alignment, Samples, Word
from emostream.models.alignment.dictionary import pronouncing_dictionary
from emostream.training.augmentation.asr_noise import simulate_asr_errors
from emostream.training.augmentation.codec import random_codec
from emostream.training.augmentation.confusions import Confusions, confusions_of, pronounce
from emostream.training.augmentation.pipeline import augment, augment_text
from emostream.training.augmentation.pitch_tempo import random_pitch_and_tempo, shift_pitch_and_tempo
from emostream.training.augmentation.reverb import random_reverb
from emostream.training.augmentation.settings import AugmentSettings, TextErrorRates
from emostream.training.augmentation.waveform import (
    add_noise,
    coloured_noise,
    distort,
    mix_at_snr,
    random_equalizer,
    random_silence,
    random_speed,
    resample_speed,
)
from emostream.training.errors import SettingsError
from tests.support.signals import SECOND, ratio_db, sine, voice
from tests.support.tiny_emotion import noise

Augmentation = Callable[[Samples, np.random.Generator], Samples]


@pytest.mark.parametrize("length", [1, 7, 16_001])
@pytest.mark.parametrize("augmentation", [add_noise, random_equalizer, distort, random_reverb, random_codec])
def test_the_length_stays(augmentation: Augmentation, length: int) -> None:
    for seed in range(4):
        augmented = augmentation(noise(length), np.random.default_rng(seed))
        assert augmented.shape == (length,)
        assert augmented.dtype == np.float32
        assert np.isfinite(augmented).all()


class TestWaveform:
    def test_noise_is_in_its_range_of_levels(self) -> None:
        clip = noise(32_000)
        for seed in range(20):
            added = add_noise(clip, np.random.default_rng(seed)) - clip
            assert 2.9 < ratio_db(clip, added) < 35.1

    @pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
    def test_noise_at_a_given_snr(self, snr_db: float) -> None:
        clip = noise(32_000)
        added = mix_at_snr(clip, coloured_noise(32_000, np.random.default_rng(1)), snr_db) - clip
        assert ratio_db(clip, added) == pytest.approx(snr_db, abs=0.01)

    def test_speed_changes_the_length_by_at_most_eight_percent(self) -> None:
        lengths = [len(random_speed(noise(10_000), np.random.default_rng(seed))[0]) for seed in range(50)]
        assert min(lengths) >= 9250
        assert max(lengths) <= 10_880
        assert len(set(lengths)) > 10

    @pytest.mark.parametrize("factor", [0.9, 1.0, 1.07])
    def test_speed_changes_pitch_and_length(self, factor: float) -> None:
        faster = resample_speed(sine(1_000), factor)
        assert len(faster) == pytest.approx(2 * SECOND / factor, abs=1)
        peak_hertz = np.abs(np.fft.rfft(faster, 16 * SECOND)).argmax() / 16
        assert peak_hertz == pytest.approx(1_000 * factor, abs=0.5)

    def test_frequencies_above_half_the_rate_are_removed_and_not_aliased(self) -> None:
        inside = slice(800, -800)
        assert ratio_db(sine(7_900), resample_speed(sine(7_900), 1.07)[inside]) > 60
        assert abs(ratio_db(sine(6_500), resample_speed(sine(6_500), 1.07)[inside])) < 0.1

    def test_silence_is_quiet_and_at_the_ends(self) -> None:
        clip = noise(8000)
        padded, at = random_silence(clip, np.random.default_rng(3))
        assert 8000 < len(padded) <= 8000 + 2 * 9600
        assert at == int(np.abs(np.correlate(padded, clip, "valid")).argmax())
        np.testing.assert_array_equal(padded[at : at + 8000], clip)

    def test_the_generator_is_the_only_randomness(self) -> None:
        clip = noise(8000)
        first, second = (distort(clip, np.random.default_rng(9)) for _ in range(2))
        np.testing.assert_array_equal(first, second)


class TestPitchAndTempo:
    @pytest.mark.parametrize("tempo", [0.91, 1.0, 1.1])
    @pytest.mark.parametrize("voice", [0.67, 1.0, 1.49])
    def test_it_changes_pitch_and_tempo_independently(self, voice: float, tempo: float) -> None:
        shifted = shift_pitch_and_tempo(sine(1_000), voice, tempo)
        assert len(shifted) == round(2 * SECOND / tempo)
        assert shifted.dtype == np.float32
        middle = shifted[SECOND // 2 : -SECOND // 2]
        peak_hertz = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 16 * SECOND)).argmax() / 16
        assert peak_hertz == pytest.approx(1_000 * voice, rel=0.005)

    @pytest.mark.parametrize("voice", [0.67, 1.49])
    def test_events_keep_their_position(self, voice: float) -> None:
        clip = 0.1 * noise(2 * SECOND) * (np.arange(2 * SECOND) // (SECOND // 4) % 4 == 2)
        power = np.convolve(
            shift_pitch_and_tempo(clip.astype(np.float32), voice, 1.0) ** 2, np.ones(800), "same"
        )
        original = np.convolve(clip**2, np.ones(800), "same")
        delay = np.correlate(power, original, "full").argmax() - (2 * SECOND - 1)
        assert abs(delay) < 0.05 * SECOND

    @pytest.mark.parametrize("length", [1, 10, 300, 3_000])
    def test_short_clips(self, length: int) -> None:
        for seed in range(4):
            shifted, tempo = random_pitch_and_tempo(noise(length), np.random.default_rng(seed))
            assert len(shifted) == round(length / tempo)
            assert np.isfinite(shifted).all()

    def test_it_stays_in_its_range_and_is_seeded(self) -> None:
        tempos = [random_pitch_and_tempo(noise(800), np.random.default_rng(seed))[1] for seed in range(40)]
        assert 0.9 < min(tempos) < 0.95
        assert 1.05 < max(tempos) < 1.11
        first, second = (random_pitch_and_tempo(noise(8_000), np.random.default_rng(3))[0] for _ in range(2))
        np.testing.assert_array_equal(first, second)


EVERYTHING = AugmentSettings(speed=1, noise=1, codec=1, reverb=1, equalizer=1, silence=1, text_noise=1)


def click(at: int) -> tuple[Samples, Alignment]:
    samples = np.zeros(2 * SECOND, np.float32)
    samples[at] = 1.0
    return samples, Alignment(words=(Word("click", at, at + 1),))


class TestAugment:
    def test_default_settings_change_nothing(self) -> None:
        clip, alignment = click(9_000)
        same, same_alignment = augment(clip, alignment, AugmentSettings(), np.random.default_rng(0))
        np.testing.assert_array_equal(same, clip)
        assert same_alignment == alignment
        rng = np.random.default_rng(0)
        assert augment_text("Oh, NO!", AugmentSettings(), rng, Confusions(())) == "Oh, NO!"

    @pytest.mark.parametrize("settings", [AugmentSettings(speed=1, silence=1, reverb=1), EVERYTHING])
    def test_a_click_stays_under_its_word(self, settings: AugmentSettings) -> None:
        tolerance = 2 if settings is not EVERYTHING else 5 * SECOND // 1000  # a codec smears
        places = set()
        for seed in range(30):
            rng = np.random.default_rng(seed)
            samples, alignment = augment(*click(20_000), settings, rng)
            place = alignment.words[0].start
            assert abs(int(np.abs(samples).argmax()) - place) <= tolerance
            places.add(place)
        assert len(places) > 25

    def test_a_probability_is_a_frequency(self) -> None:
        settings = AugmentSettings(speed=0.3)
        clip, no_words = noise(2_000), Alignment()
        changed = [
            len(augment(clip, no_words, settings, np.random.default_rng(seed))[0]) != len(clip)
            for seed in range(400)
        ]
        assert 0.22 < np.mean(changed) < 0.38

    @pytest.mark.parametrize("name", ["voice", "speed", "noise", "codec", "reverb", "equalizer", "silence"])
    def test_every_setting_has_an_effect(self, name: str) -> None:
        settings = msgspec.convert({name: 1.0}, AugmentSettings)
        augmented, _ = augment(voice(0.5), Alignment(), settings, np.random.default_rng(0))
        assert len(augmented) != SECOND // 2 or not np.allclose(augmented, voice(0.5))

    def test_the_same_generator_gives_the_same_clip(self) -> None:
        clips = [augment(voice(), Alignment(), EVERYTHING, np.random.default_rng(s))[0] for s in (4, 4, 5)]
        np.testing.assert_array_equal(clips[0], clips[1])
        assert len(clips[2]) != len(clips[0])

    def test_changing_one_probability_leaves_the_other_augmentations(self) -> None:
        """The noise of a clip is the same noise, with reverberation and without."""
        clip = voice()

        def augmented(**probabilities: float) -> Samples:
            settings = msgspec.convert(probabilities, AugmentSettings)
            return augment(clip, Alignment(), settings, np.random.default_rng(3))[0]

        np.testing.assert_allclose(
            augmented(noise=1, reverb=1) - augmented(reverb=1),
            augmented(noise=1) - clip,
            rtol=1e-2,
            atol=1e-5,
        )

    @pytest.mark.parametrize("probability", [-0.1, 1.01, float("nan")])
    def test_an_invalid_probability_is_refused(self, probability: float) -> None:
        with pytest.raises(SettingsError, match="expected a probability from 0 to 1 for reverb, got"):
            AugmentSettings(reverb=probability)

    def test_settings_from_a_file_are_checked(self) -> None:
        assert msgspec.convert({"noise": 1}, AugmentSettings) == AugmentSettings(noise=1.0)
        for table, message in (
            ({"noise": 2}, "0 to 1 for noise, got 2"),
            ({"echo": 1}, "unknown field `echo`"),
        ):
            with pytest.raises(msgspec.ValidationError, match=message):
                msgspec.convert(table, AugmentSettings)

    def test_whether_any_probability_is_set(self) -> None:
        assert not AugmentSettings().any()
        names = [name for name in AugmentSettings.__struct_fields__ if name != "text_errors"]
        assert all(msgspec.convert({name: 0.1}, AugmentSettings).any() for name in names)
        assert not AugmentSettings(text_errors=TextErrorRates(deletions=0.5)).any()


class TestAsrErrors:
    """Compared with the alignment of least errors that another library makes of the texts."""

    TEXT = "we want to set the clock at ten and walk to the door"
    VOCABULARY = ("wet", "lock", "block", "ben", "talk", "core", "when", "sat", "zebra")

    def measured(self, **rates: float) -> jiwer.WordOutput:
        confusions = Confusions(self.VOCABULARY)
        given = TextErrorRates(**({"substitutions": 0.0, "deletions": 0.0, "insertions": 0.0} | rates))
        drawn = [
            simulate_asr_errors(self.TEXT, confusions, given, np.random.default_rng(seed))
            for seed in range(600)
        ]
        return jiwer.process_words([self.TEXT] * len(drawn), drawn)

    def test_words_are_substituted_by_words_that_sound_alike(self) -> None:
        """Not by any word, and not deleted: nothing sounds like `zebra`."""
        found = self.measured(substitutions=0.2)
        spoken = 600 * len(self.TEXT.split())
        assert found.deletions == found.insertions == 0
        assert 0.05 < found.substitutions / spoken < 0.2
        new = {word for line in found.hypotheses for word in line} - set(self.TEXT.split())
        assert new
        assert new <= set(self.VOCABULARY) - {"zebra"}
        for line in found.hypotheses:
            for spoken_word, word in zip(self.TEXT.split(), line, strict=True):
                assert slow_distance(pronounce(spoken_word), pronounce(word)) <= 2

    def test_the_rate_is_reached_where_every_word_has_a_neighbour(self) -> None:
        confusions = Confusions(("lock", "block"))
        rates = TextErrorRates(substitutions=0.1, deletions=0.0, insertions=0.0)
        drawn = [
            simulate_asr_errors("clock " * 10, confusions, rates, np.random.default_rng(seed))
            for seed in range(500)
        ]
        share = np.mean([word != "clock" for line in drawn for word in line.split()])
        assert share == pytest.approx(0.1, abs=0.015)

    @pytest.mark.parametrize("kind", ["deletions", "insertions"])
    def test_the_other_kinds_have_their_rate(self, kind: str) -> None:
        found = self.measured(**{kind: 0.1})
        spoken = 600 * len(self.TEXT.split())
        kinds = {name: getattr(found, name) / spoken for name in ("substitutions", "deletions", "insertions")}
        assert kinds.pop(kind) == pytest.approx(0.1, abs=0.015)
        assert max(kinds.values()) < 0.01

    def test_at_least_one_word_is_kept(self) -> None:
        rates = TextErrorRates(substitutions=0.0, deletions=1.0, insertions=0.0)
        drawn = {
            simulate_asr_errors("hi", Confusions(()), rates, np.random.default_rng(n)) for n in range(50)
        }
        assert drawn == {"hi"}
        assert simulate_asr_errors("...", Confusions(()), rates, np.random.default_rng(0)) == ""

    def test_the_probability_of_text_noise(self) -> None:
        settings = AugmentSettings(text_noise=0.5)
        texts = [
            augment_text("Oh, NO!", settings, np.random.default_rng(seed), Confusions(()))
            for seed in range(400)
        ]
        assert 0.42 < np.mean([text == "Oh, NO!" for text in texts]) < 0.58

    def test_a_rate_out_of_range_is_refused(self) -> None:
        with pytest.raises(
            msgspec.ValidationError, match=r"expected a rate from 0 to 1 for deletions, got 1\.5"
        ):
            msgspec.convert({"text_errors": {"deletions": 1.5}}, AugmentSettings)


class TestConfusions:
    WORDS = (
        "talking",
        "walking",
        "taking",
        "service",
        "surface",
        "door",
        "zebra",
        "##ing",
        "[UNK]",
        "Taking",
    )

    @pytest.mark.parametrize("dictionary", [True, False])
    def test_the_nearest_words_by_a_slow_search(
        self, dictionary: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the pronouncing dictionary and with guesses alone."""
        if not dictionary:
            monkeypatch.setattr("emostream.training.augmentation.confusions.pronouncing_dictionary", dict)
        elif not pronouncing_dictionary():
            pytest.skip("needs pocketsphinx, which brings the dictionary")
        confusions = Confusions(self.WORDS)
        plain = [word for word in self.WORDS if word.isalpha() and word.islower()]
        for word in (*plain, "barking", "store"):
            distances = {o: slow_distance(pronounce(word), pronounce(o)) for o in plain if o != word}
            least = min(distances.values())
            expected = {o for o, distance in distances.items() if distance == least} if least <= 2 else set()
            assert set(confusions.alike(word)) == expected, word

    def test_the_vocabulary_of_a_tokenizer(self) -> None:
        """Words that begin with a mark, where any do; pieces of words are none."""
        pieces = {"[UNK]": 0, "lock": 1, "block": 2, "##ock": 3}
        marked = {"[UNK]": 0, "\u0120lock": 1, "\u0120block": 2, "ock": 3}
        for vocabulary in (pieces, marked):
            tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
            assert set(confusions_of(tokenizer).alike("clock")) == {"lock", "block"}


def slow_distance(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Levenshtein's distance, by its definition."""
    if not first or not second:
        return len(first) + len(second)
    return min(
        slow_distance(first[1:], second) + 1,
        slow_distance(first, second[1:]) + 1,
        slow_distance(first[1:], second[1:]) + (first[0] != second[0]),
    )
