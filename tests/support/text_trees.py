"""Tiny corpora of text as their authors publish them: real names of files, real lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.corpus_trees import write_lines

MELD_HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
)
MELD_VIDEOS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}


def meld_tree(root: Path, *, videos: bool = False) -> Path:
    """Two dialogues per split, the same names in each as in the release, and its two broken videos."""
    lines = ['"Oh my God, he\u2019s lost it.",Phoebe,sadness', "What?,Monica,surprise", "Hi roomie!,Ross,joy"]
    lines += ["...,Joey,neutral", "I\x92m sorry.,Joey,anger"]
    broken = {"train": (125, 3), "dev": (110, 7)}
    for split, folder in MELD_VIDEOS.items():
        places = [(number // 3, number % 3) for number in range(5)]
        rows = [*zip(lines, places, strict=True)]
        if split in broken:
            rows.append(("Fine.,Ross,anger", broken[split]))
        times = '4,7,"00:20:57,256","00:21:00,049"'
        table = [f"{n},{line},negative,{d},{u},{times}" for n, (line, (d, u)) in enumerate(rows, start=1)]
        write_lines(root / f"{split}_sent_emo.csv", [MELD_HEADER, *table])
        for dialogue, utterance in places if videos else ():
            path = root / folder / f"dia{dialogue}_utt{utterance}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


EMORY = [("Coffee.", ["Rachel Green"], "Neutral"), ("...", ["Joey Tribbiani"], "Joyful")]
EMORY += [("You cuddled!", ["Joey Tribbiani", "Rachel's father"], "Mad"), ("Uh-oh.", ["Celia"], "Scared")]
EMORY_EPISODES = {"train": 2, "dev": 15, "test": 10}


def emorynlp_json_tree(root: Path) -> Path:
    for episode, ending in zip(EMORY_EPISODES.values(), ("trn", "dev", "tst"), strict=True):
        name = f"s01_e{episode:02d}"
        utterances = [
            {
                "utterance_id": f"{name}_c01_u{number:03d}",
                "speakers": names,
                "transcript": words,
                "tokens": [words.split()],
                "emotion": emotion,
            }
            for number, (words, names, emotion) in enumerate(EMORY, start=1)
        ]
        scenes = [{"scene_id": f"{name}_c01", "utterances": utterances}]
        tree = {"season_id": "s01", "episodes": [{"episode_id": name, "scenes": scenes}]}
        write_lines(root / f"emotion-detection-{ending}.json", [json.dumps(tree)])
    return root


def emorynlp_csv_tree(root: Path) -> Path:
    header = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time"
    for split, episode in EMORY_EPISODES.items():
        rows = [
            f"{words},{_quoted(names)},{emotion},1,{number},1,{episode},00:00:03.795,00:00:05.004"
            for number, (words, names, emotion) in enumerate(EMORY, start=1)
        ]
        write_lines(root / f"emorynlp_{split}_final.csv", [header, *rows])
    return root


def _quoted(names: list[str]) -> str:
    """A Python list in a cell: `"['Joey Tribbiani', ""Rachel's father""]"`."""
    return '"' + str(names).replace('"', '""') + '"'


GO_EMOTIONS = str.split(
    "admiration amusement anger annoyance approval caring confusion curiosity desire disappointment "
    "disapproval disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride "
    "realization relief remorse sadness surprise neutral"
)


def goemotions_tree(root: Path, comments: Mapping[str, Sequence[str]]) -> Path:
    """comments: text -> its emotions; the same ones in all three splits, under other names."""
    write_lines(root / "emotions.txt", GO_EMOTIONS)
    for split in ("train", "dev", "test"):
        lines = [
            f"{text}\t{','.join(str(GO_EMOTIONS.index(name)) for name in emotions)}\t{split}e{number}"
            for number, (text, emotions) in enumerate(comments.items())
        ]
        write_lines(root / f"{split}.tsv", lines)
    return root


def dailydialog_tree(root: Path) -> Path:
    """Two dialogues per split; the lines of the release end in a blank."""
    for split in ("train", "validation", "test"):
        turns = ["Say , Jim , how about a beer ? __eou__ You know that is tempting . __eou__ ! __eou__ "]
        turns += ["Leave me alone ! __eou__ I am so sorry . __eou__ "]
        write_lines(root / split / f"dialogues_{split}.txt", turns)
        write_lines(root / split / f"dialogues_emotion_{split}.txt", ["0 4 0 ", "1 5 "])
    return root
