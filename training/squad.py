"""Read data sets in the SQuAD format."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A question with the paragraph that it was asked about."""

    id: str
    question: str
    passage: str
    answers: list = field(default_factory=list)  # gold texts; empty when there is no answer


def shared():
    """Return the directory of the shared data: NEEDLE_SHARED, or ../shared beside the repository."""
    root = Path(__file__).resolve().parent.parent
    directory = Path(os.environ.get("NEEDLE_SHARED") or root.parent / "shared")
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory} does not exist; set NEEDLE_SHARED to the directory of the shared data")
    return directory


def read(path):
    """Yield the pairs of a file in file order."""
    with open(path, encoding="utf-8") as file:
        articles = json.load(file)["data"]
    for article in articles:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                answers = [] if qa.get("is_impossible") else [a["text"] for a in qa["answers"]]
                yield Pair(str(qa["id"]), qa["question"], paragraph["context"], answers)


def passages(path):
    """Yield the paragraphs of a file in file order, each once."""
    seen = set()
    for pair in read(path):
        if pair.passage not in seen:
            seen.add(pair.passage)
            yield pair.passage


def spread(items, count):
    """Return count items at even distances, so that every part of a file is in the sample."""
    items = list(items)
    if count > len(items):
        raise ValueError(f"{count} items are wanted, there are {len(items)}")
    return [items[i * len(items) // count] for i in range(count)]
