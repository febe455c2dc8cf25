"""Cross-validation folds: parts are disjoint, and test examples influence neither training nor validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emostream.models import LABELS
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.corpora.leakage import DisjointUnit
from emostream.training.errors import SettingsError
from emostream.training.experiments.folds import Fold, make_folds
from emostream.training.experiments.protocols import ProtocolName, ValidationName
from tests.support.training_task import numbers

BOTH: tuple[DisjointUnit, ...] = ("speaker", "dialogue")
SESSIONS = [f"S{number}" for number in range(1, 6)]


def utterances(count: int = 4, **fields: Any) -> list[Example]:
    """Labels alternate. The key contains the other fields."""
    where = "-".join(fields.values())
    return [
        Example(
            **({"corpus": "c"} | fields),
            key=f"{where}-{number}",
            emotion=LABELS[number % 4],
            emotion_orig=LABELS[number % 4],
        )
        for number in range(count)
    ]


def sessions() -> list[Example]:
    """As in IEMOCAP: five, of two actors each, who talk to each other in two dialogues."""
    return [
        example
        for session in SESSIONS
        for actor in "FM"
        for dialogue in ("improvised", "scripted")
        for example in utterances(group=session, speaker=f"{session}{actor}", dialogue=session + dialogue)
    ]


def folds_of(
    examples: Sequence[Example], protocol: ProtocolName = "group", share: float = 0.15, **units: Any
) -> list[Fold]:
    return make_folds(examples, protocol, numbers(examples), validation_share=share, **units)


def groups_of(examples: Sequence[Example]) -> str:
    return " ".join(sorted({example.group for example in examples}))


def speakers_of(examples: Sequence[Example]) -> set[str]:
    return {example.speaker for example in examples}


def test_leave_one_session_out() -> None:
    """Validation is another whole session, a different one for every fold."""
    table = [
        (f.name, groups_of(f.test), groups_of(f.validation), groups_of(f.train)) for f in folds_of(sessions())
    ]
    assert table == [
        ("S1", "S1", "S2", "S3 S4 S5"),
        ("S2", "S2", "S3", "S1 S4 S5"),
        ("S3", "S3", "S4", "S1 S2 S5"),
        ("S4", "S4", "S5", "S1 S2 S3"),
        ("S5", "S5", "S1", "S2 S3 S4"),
    ]


def test_leave_one_speaker_out_excludes_the_dialogue_partner() -> None:
    folds = folds_of(sessions(), "speaker")
    assert [fold.name for fold in folds] == [session + actor for session in SESSIONS for actor in "FM"]
    for fold in folds:
        assert speakers_of(fold.test) == {fold.name}
        others = {session for session in SESSIONS if session != fold.name[:2]}
        assert {example.group for example in fold.train} == others
        assert len(fold.train) == 4 * 16
    for fold in folds_of(sessions(), "speaker", validation="speakers"):
        others = {session for session in SESSIONS if session != fold.name[:2]}
        assert {example.group for example in fold.train + fold.validation} == others
        assert len(fold.train) + len(fold.validation) == 4 * 16


# The protocols of the papers, beside splits that are made of nothing but the names


Parts = tuple[set[str], set[str], set[str]]


def session_of(key: str) -> str:
    return key[:2]


def actor_of(key: str) -> str:
    """`S1Fimprovised` is said by F in the dialogue `S1improvised`."""
    return key.split("-")[1]


def conversation() -> list[Example]:
    """Keys that say everything: `S1-S1F-S1improvised-0`."""
    return [
        replace(example, key=f"{example.group}-{example.speaker}-{example.dialogue}-{number}")
        for number, example in enumerate(sessions())
    ]


def parts_of(fold: Fold) -> Parts:
    train, validation, test = (
        {example.key for example in part} for part in (fold.train, fold.validation, fold.test)
    )
    return train, validation, test


def test_leave_one_session_out_needs_no_name_of_the_session() -> None:
    """Sessions are those who talk to each other, whether or not the corpus numbers them."""
    named, unnamed = conversation(), [replace(e, group="") for e in conversation()]
    assert [fold.name for fold in folds_of(named, "session")] == SESSIONS
    assert [fold.name for fold in folds_of(unnamed, "session")] == [f"{s}F+{s}M" for s in SESSIONS]
    for examples in (named, unnamed):
        for session, fold in zip(SESSIONS, folds_of(examples, "session"), strict=True):
            train, validation, test = parts_of(fold)
            assert test == {e.key for e in examples if session_of(e.key) == session}
            assert train | validation == {e.key for e in examples} - test
            assert not {session_of(key) for key in train} & {session_of(key) for key in validation}


@pytest.mark.parametrize("protocol", ["session", "group"])
def test_validation_by_dialogues_takes_some_of_every_training_session(protocol: ProtocolName) -> None:
    """Half of the dialogues here, in which case a session gives one of its two."""
    examples = conversation()
    for session, fold in zip(
        SESSIONS, folds_of(examples, protocol, 0.5, validation="dialogues"), strict=True
    ):
        train, validation, test = parts_of(fold)
        assert test == {e.key for e in examples if session_of(e.key) == session}
        assert train | validation == {e.key for e in examples} - test
        dialogues = {key.split("-")[2] for key in validation}
        assert not dialogues & {key.split("-")[2] for key in train}
        assert sorted(name[:2] for name in dialogues) == [name for name in SESSIONS if name != session]


def test_leave_one_speaker_out_validates_on_the_partner() -> None:
    examples = conversation()
    for fold in folds_of(examples, "speaker"):
        train, validation, test = parts_of(fold)
        partner = fold.name[:2] + ("M" if fold.name[2] == "F" else "F")
        assert test == {e.key for e in examples if actor_of(e.key) == fold.name}
        assert validation == {e.key for e in examples if actor_of(e.key) == partner}
        assert train == {e.key for e in examples if session_of(e.key) != fold.name[:2]}


def test_without_partners_speakers_validate() -> None:
    examples = [e for speaker in "abcdef" for e in utterances(speaker=speaker)]
    assert folds_of(examples, "speaker") == folds_of(examples, "speaker", validation="speakers")
    with pytest.raises(SettingsError, match="expected speakers who talk to each other"):
        folds_of(examples, "speaker", validation="partner")


def test_speakers_are_dealt_over_the_folds_corpus_by_corpus() -> None:
    """Ten of one corpus and five of another over five folds: three each, two and one."""
    examples = [e for s in range(10) for e in utterances(corpus="a", speaker=f"a{s}")]
    examples += [e for s in range(5) for e in utterances(corpus="b", speaker=f"b{s}")]
    folds = folds_of(examples, "folds")
    assert [fold.name for fold in folds] == list("12345")
    for fold in folds:
        assert sorted(name[0] for name in speakers_of(fold.test)) == ["a", "a", "b"]
        assert not speakers_of(fold.test) & speakers_of(fold.train + fold.validation)
    assert sorted(e.key for fold in folds for e in fold.test) == sorted(e.key for e in examples)
    assert len(folds_of(conversation(), "folds", folds=2)) == 2
    with pytest.raises(CorpusError, match="expected at least 6 speakers who do not talk to each other"):
        folds_of(conversation(), "folds", folds=6)


def test_every_fifth_utterance_is_split_as_the_published_code_does() -> None:
    """A slow copy of the rule: places 0, 5, 10 ... are tested, every tenth of what is left validates."""
    keys = [example.key for example in conversation()]
    first, *others = folds_of(conversation(), "utterance")
    test = [place for place in range(len(keys)) if place % 5 == 0]
    left = [place for place in range(len(keys)) if place not in test]
    validation = [left[place] for place in range(0, len(left), 10)]
    train = [place for place in left if place not in validation]
    assert parts_of(first) == tuple({keys[place] for place in part} for part in (train, validation, test))
    tested = [example.key for fold in (first, *others) for example in fold.test]
    assert sorted(tested) == sorted(keys)
    assert len(others) == 4
    for fold in (first, *others):
        assert speakers_of(fold.test) & speakers_of(fold.train)


@pytest.mark.parametrize(
    ("protocol", "validation", "known"),
    [
        ("session", "partner", "speakers, dialogues"),
        ("utterance", "speakers", "utterances"),
        ("speaker", "utterances", "partner, speakers, dialogues"),
    ],
)
def test_a_validation_that_the_protocol_lacks_is_refused(
    protocol: ProtocolName, validation: ValidationName, known: str
) -> None:
    message = f"expected validation of the protocol {protocol} to be {known}, got {validation}"
    with pytest.raises(SettingsError, match=message):
        folds_of(conversation(), protocol, validation=validation)


def test_validation_by_dialogues_needs_dialogues() -> None:
    examples = [e for group in "123" for e in utterances(group=group, speaker=group)]
    with pytest.raises(CorpusError, match="expected a dialogue, which validation by dialogues takes whole"):
        folds_of(examples, validation="dialogues")


def test_sessions_need_speakers_or_dialogues_and_more_than_one_of_them() -> None:
    with pytest.raises(CorpusError, match="1-0: expected a speaker or a dialogue, of which sessions consist"):
        folds_of(utterances(group="1"), "session")
    with pytest.raises(CorpusError, match="expected two or more sessions"):
        folds_of(utterances(speaker="a"), "session")


def test_partners_of_the_partner_are_excluded() -> None:
    """A talks to B and B to C: if A is tested, what B says to C is not trained on."""
    talks = {"AB": "ab", "BC": "bc", "DE": "de", "FG": "fg"}
    examples = [
        example
        for dialogue, pair in talks.items()
        for speaker in pair
        for example in utterances(speaker=speaker, dialogue=dialogue)
    ]
    fold = folds_of(examples, "speaker")[0]
    assert speakers_of(fold.test) == {"a"}
    assert speakers_of(fold.train) == {"d", "e", "f", "g"}
    assert speakers_of(fold.validation) == {"b", "c"}


def test_lines_of_a_tested_corpus_are_removed_from_the_others() -> None:
    """Six words or more: shorter ones occur in every corpus. Fixed sentences of actors do not count."""
    long, short = "Oh my god you really came back!", "What is it?"
    texts = [
        replace(example, words=long if number % 4 else short)
        for corpus in ("emorynlp", "meld")
        for scene in range(4)
        for number, example in enumerate(utterances(corpus=corpus, dialogue=f"{corpus}{scene}"))
    ]
    others = [
        replace(example, words=f"this is line {example.key} of some length", path=None)
        for scene in range(4)
        for example in utterances(corpus="other", dialogue=f"other{scene}")
    ]
    actors = [
        replace(example, words=long, path=Path("a.wav"))
        for speaker in "abcd"
        for example in utterances(corpus="crema-d", speaker=speaker)
    ]
    fold = next(fold for fold in folds_of([*texts, *others, *actors], "corpus") if fold.name == "meld")
    learned = fold.train + fold.validation
    assert {e.words for e in learned if e.corpus == "emorynlp"} == {short}
    assert sum(e.corpus == "other" for e in learned) == len(others)
    assert sum(e.corpus == "crema-d" for e in learned) == len(actors)


def test_leave_one_corpus_out_validates_on_each_of_the_others() -> None:
    examples = [
        example
        for corpus in ("crema-d", "emodb", "nemo")
        for speaker in range(8)
        for example in utterances(corpus=corpus, speaker=f"{corpus}{speaker}")
    ]
    folds = folds_of(examples, "corpus", share=0.25)
    assert [fold.name for fold in folds] == ["crema-d", "emodb", "nemo"]
    for fold in folds:
        assert {example.corpus for example in fold.test} == {fold.name}
        others = {"crema-d", "emodb", "nemo"} - {fold.name}
        assert {example.corpus for example in fold.validation} == others
        assert {example.corpus for example in fold.train} == others
        assert len(speakers_of(fold.validation)) == 4


def test_the_official_split() -> None:
    examples = [
        replace(example, split=split)
        for split, speaker in (("train", "a"), ("dev", "b"), ("test", "c"), ("train", "d"), ("", "e"))
        for example in utterances(speaker=speaker)
    ]
    [fold] = folds_of(examples, "split")
    assert fold.name == "test"
    assert [speakers_of(part) for part in (fold.train, fold.validation, fold.test)] == [
        {"a", "d"},
        {"b"},
        {"c"},
    ]


def friends() -> list[Example]:
    """As in MELD: every speaker is in every part, only the scenes are disjoint."""
    return [
        example
        for scene in range(6)
        for speaker in ("Joey", "Ross")
        for example in utterances(speaker=speaker, dialogue=f"scene{scene}", group=f"part{scene % 3}")
    ]


def test_splits_that_share_speakers_have_disjoint_scenes() -> None:
    for fold in folds_of(friends(), units=("dialogue",)):
        scenes = [{example.dialogue for example in part} for part in (fold.train, fold.validation, fold.test)]
        assert sum(map(len, scenes)) == len(set.union(*scenes)) == 6
    with pytest.raises(CorpusError, match="speaker Joey is in part0 and in part1: expected speaker-dis"):
        folds_of(friends(), units=BOTH)


@pytest.mark.parametrize(("share", "speakers"), [(0.05, 1), (0.15, 3), (0.3, 6), (0.5, 9)])
def test_validation_has_its_share_in_whole_speakers(share: float, speakers: int) -> None:
    """Eighteen speakers remain; the share is reached, and exceeded by less than one speaker."""
    examples = [
        example
        for number in range(20)
        for example in utterances(speaker=f"s{number:02d}", group=f"{number // 2}")
    ]
    for fold in folds_of(examples, share=share):
        assert len(speakers_of(fold.validation)) == speakers


def test_validation_is_extended_until_it_has_every_label() -> None:
    """Only every second speaker is ever sad."""
    examples = [
        example
        for number in range(12)
        for example in utterances(speaker=f"s{number:02d}", group=f"{number // 4}")
        if number % 2 or example.emotion != "sad"
    ]
    for fold in folds_of(examples, share=0.01):
        assert {example.emotion for example in fold.validation} == set(LABELS)
        assert len(speakers_of(fold.validation)) <= 2


LINES = [f"this is line number {number} of a long series" for number in range(10)]


def series(corpus: str) -> list[Example]:
    """Ten dialogues, each with a line that is also in the other edition, and three that are not."""
    return [
        replace(
            example,
            words=line if number == scene % 4 else f"{corpus} has line {number} for itself, and {line}",
        )
        for scene, line in enumerate(LINES)
        for number, example in enumerate(
            utterances(corpus=corpus, dialogue=f"{corpus}{scene}", split=("train", "dev", "test")[scene % 3])
        )
    ]


@pytest.mark.parametrize("protocol", ["corpus", "split"])
def test_lines_that_another_corpus_is_tested_on_are_removed(protocol: ProtocolName) -> None:
    examples = series("meld") + [
        # The other edition has other splits.
        replace(example, split={"train": "test", "dev": "train", "test": "dev"}[example.split])
        for example in series("emorynlp")
    ]
    for fold in folds_of(examples, protocol, share=0.3, units=("dialogue",)):
        tested = {(example.corpus, example.words) for example in fold.test}
        for part in (fold.train, fold.validation):
            assert {example.corpus for example in part} >= ({"meld", "emorynlp"} - {fold.name})
            for example in part:
                assert {corpus for corpus, words in tested if words == example.words} <= {example.corpus}
        kept = {example.key for example in fold.train + fold.validation + fold.test}
        left_out = [example for example in examples if example.key not in kept]
        assert left_out
        for example in left_out:
            assert {corpus for corpus, words in tested if words == example.words} - {example.corpus}


# Any graph of speakers and dialogues


def slow_components(examples: Sequence[Example], units: Sequence[DisjointUnit]) -> list[set[str]]:
    """Keys of connected examples: sets are merged until nothing changes."""
    components = [({example.key}, names_of([example], units)) for example in examples]
    merged = True
    while merged:
        merged = False
        for one in components:
            for other in components:
                if one is not other and one[1] & other[1]:
                    one[0].update(other[0])
                    one[1].update(other[1])
                    components.remove(other)
                    merged = True
                    break
    return [keys for keys, _ in components]


def names_of(examples: Sequence[Example], units: Sequence[DisjointUnit]) -> set[tuple[str, str]]:
    return {(unit, getattr(e, unit)) for e in examples for unit in units if getattr(e, unit)}


@st.composite
def corpora(draw: st.DrawFn) -> list[Example]:
    """Scenes of two speakers and two dialogues; some dialogues are missing, some speakers
    are in two scenes. Either all speakers are known or none."""
    scenes, known = draw(st.integers(8, 14)), draw(st.integers(0, 4)) > 0
    guests = draw(st.dictionaries(st.integers(4, scenes - 1), st.integers(1, 3), max_size=3))
    examples = []
    for number in range(draw(st.integers(4, 6)) * scenes):
        scene = number % scenes
        home = scene - 4 * guests.get(scene, 0) * (draw(st.integers(0, 5)) == 0)
        examples.append(
            Example(
                corpus=f"c{scene % 2}",
                key=f"{number}",
                emotion=LABELS[draw(st.integers(0, 3))],
                emotion_orig="",
                speaker=f"s{max(home, scene % 4)}-{draw(st.integers(0, 1))}" if known else "",
                dialogue=f"d{scene}-{draw(st.integers(0, 1))}" if draw(st.booleans()) else "",
                group=f"g{scene % 4}",
            )
        )
    return examples


@given(
    corpora(),
    st.sampled_from(["group", "session", "corpus", "speaker"]),
    st.sampled_from([BOTH, ("dialogue",)]),
)
@settings(deadline=None, max_examples=60, derandomize=True)
def test_connected_examples_are_never_split(
    examples: list[Example], protocol: ProtocolName, units: tuple[DisjointUnit, ...]
) -> None:
    try:
        folds = folds_of(examples, protocol, 0.2, units=units, validation="speakers")
    except CorpusError:
        assume(False)
    assert folds == folds_of(examples, protocol, 0.2, units=units, validation="speakers")
    tested = [example.key for fold in folds for example in fold.test]
    assert sorted(tested) == sorted(example.key for example in examples)  # each of them once
    components = slow_components(examples, units)
    for fold in folds:
        train, validation, test = (
            {example.key for example in part} for part in (fold.train, fold.validation, fold.test)
        )
        assert train
        assert validation
        assert not train & validation
        assert not (train | validation) & test
        assert not names_of(fold.train + fold.validation, units) & names_of(fold.test, units)
        assert not names_of(fold.train, units) & names_of(fold.validation, units)
        for component in components:
            assert not (component & train and component & validation)
            # With a test example: tested or left out. Without: in one part as a whole.
            assert component <= train or component <= validation or component & test


def test_folds_do_not_depend_on_the_order_of_the_examples() -> None:
    first, second = folds_of(sessions()), folds_of(sessions()[::-1])
    assert [fold.name for fold in first] == [fold.name for fold in second]
    for one, other in zip(first, second, strict=True):
        assert {example.key for example in one.test} == {example.key for example in other.test}


# Corpora that do not fit a protocol


def split(**speakers: str) -> list[Example]:
    """Examples of each speaker in its part."""
    return [replace(e, split=part) for speaker, part in speakers.items() for e in utterances(speaker=speaker)]


def one_label(examples: Sequence[Example], **where: str) -> list[Example]:
    """The examples with these fields are all sad."""
    return [
        replace(e, emotion="sad") if all(getattr(e, name) == value for name, value in where.items()) else e
        for e in examples
    ]


TOO_FEW = "the corpus is too small for this protocol"
ANOTHER = "choose another protocol"


@pytest.mark.parametrize(
    ("examples", "protocol", "message"),
    [
        (utterances(speaker="a"), "group", f"a-0: expected a group to leave out, found none: {ANOTHER}"),
        (utterances(group="1"), "speaker", f"1-0: expected a speaker to leave out, found none: {ANOTHER}"),
        (utterances(group="1"), "group", f"expected two or more of: group, got 1: {ANOTHER}"),
        ([], "corpus", f"expected two or more of: corpus, got none: {ANOTHER}"),
        (
            [*utterances(group="1", speaker="a"), *utterances(group="2", speaker="b")],
            "group",
            f"fold 1: expected examples of two labels or more for validation, got none: {TOO_FEW}",
        ),
        (
            one_label([e for group in "123" for e in utterances(group=group, speaker=group)], group="2"),
            "group",
            f"fold 1: expected examples of two labels or more for validation, got 4 of one: {TOO_FEW}",
        ),
        (
            [
                *utterances(group="1", speaker="a"),
                *(e for s in "bcd" for e in utterances(2, group="2", speaker=s)),
            ],
            "group",
            "fold 1: expected every label of the test examples among the training examples, label number 2 "
            f"is not: {ANOTHER}",
        ),
        (
            [
                replace(e, path=Path("a.wav"))
                for s in ("a", "", "b")
                for e in utterances(speaker=s, group=s or "c")
            ],
            "group",
            "c: expected the speaker of every clip or of none, got none for 4, the first is -c-0: fill the",
        ),
        (
            split(a="train"),
            "split",
            "expected examples of the splits train, dev and test, found none of dev, test",
        ),
        (
            [*split(a="train", b="dev", c="test"), *(replace(e, key=e.key + "x") for e in split(a="test"))],
            "split",
            "speaker a is in train and in test: expected speaker-disjoint splits",
        ),
    ],
)
def test_a_corpus_that_does_not_fit_the_protocol_is_rejected(
    examples: list[Example], protocol: ProtocolName, message: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        folds_of(examples, protocol)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
