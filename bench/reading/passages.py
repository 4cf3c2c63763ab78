"""Write the input of the reading benchmark: one question and real paragraphs for it.

    python passages.py OUT.json [--question ID] [--count 50]

The paragraphs are those of squad2 and squadshifts that BM25 ranks highest for
the question, so that they have the lengths and the vocabulary that a reader
meets after retrieval. The same shared data gives the same file.
"""

import argparse
import collections
import json
import math
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))
import squad  # noqa: E402  (the path must be set first)

FILES = ("squad2/dev-half.json", "squadshifts/amazon_reviews.json", "squadshifts/new_wiki.json", "squadshifts/reddit.json")
K1, B = 1.2, 0.75


def words(text):
    return re.findall(r"\w+", text.lower())


def rank(question, passages):
    """Return the passages by falling BM25 score; ties keep their order."""
    bags = [collections.Counter(words(p)) for p in passages]
    lengths = [sum(bag.values()) for bag in bags]
    average = sum(lengths) / len(lengths)
    scores = [0.0] * len(passages)
    for word in dict.fromkeys(words(question)):
        holders = [i for i, bag in enumerate(bags) if word in bag]
        idf = math.log(1 + (len(bags) - len(holders) + 0.5) / (len(holders) + 0.5))
        for i in holders:
            frequency = bags[i][word]
            scores[i] += idf * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * lengths[i] / average))
    order = sorted(range(len(passages)), key=lambda i: (-scores[i], i))
    return [passages[i] for i in order]


def build(question_id, count):
    data = squad.shared() / "data"
    answered = [pair for pair in squad.read(data / FILES[0]) if pair.answers]
    if question_id:
        pair = next((p for p in answered if p.id == question_id), None)
        if pair is None:
            raise LookupError(f"{FILES[0]} has no answered question {question_id}")
    else:
        pair = answered[len(answered) // 2]
    passages = list(dict.fromkeys(p for file in FILES for p in squad.passages(data / file)))
    return {"id": pair.id, "question": pair.question, "answers": pair.answers, "passages": rank(pair.question, passages)[:count]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--question", help="id of an answered question of squad2/dev-half.json (default: the middle one)")
    parser.add_argument("--count", type=int, default=50)
    args = parser.parse_args()
    result = build(args.question, args.count)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {len(result['passages'])} passages, {sum(map(len, result['passages']))} code points, for: {result['question']}")


if __name__ == "__main__":
    main()
