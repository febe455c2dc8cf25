"""EmoDB (Burkhardt et al. 2005), German: `wav/03a01Fa.wav`, speaker, sentence, emotion, take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from .example import Example
from .files import corpus_root, list_files, parse_file_name
from .labels import label_of

CORPUS: Final = "emodb"

SENTENCES: Final = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
_EMOTIONS: Final = {  # Wut, Langeweile, Ekel, Angst, Freude, Trauer
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
_NAME: Final = re.compile(rf"(\d\d)({'|'.join(SENTENCES)})([{''.join(_EMOTIONS)}])[a-z]")


def read_emodb(root: Path) -> list[Example]:
    """All clips. Ten speakers, ten sentences, each in several emotions: the words carry no information.

    Raises CorpusError for a file with another kind of name.
    """
    return [_example(path) for path in list_files(corpus_root(root, "wav", "EmoDB") / "wav", "*.wav")]


def _example(path: Path) -> Example:
    speaker, sentence, emotion = parse_file_name(path, _NAME, "03a01Fa.wav")
    return Example(
        corpus=CORPUS,
        key=f"{CORPUS}/{path.stem}",
        emotion=label_of(_EMOTIONS[emotion], str(path)),
        emotion_orig=_EMOTIONS[emotion],
        path=path,
        words=SENTENCES[sentence],
        language="de",
        speaker=f"{CORPUS}_{speaker}",
    )
