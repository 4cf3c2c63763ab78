"""Add questions that sound as if a passage answered them to the held-out questions of a run.

    python unanswerable.py RUN/heldout.json OUT.json

In each question that holds a name or a number, another one of its own passage
is put in its place. The result is a SQuAD 2.0 file with is_impossible, with the
questions as they were beside the changed ones. `needle calibrate` takes it: without
such questions a profile learns only what a missing passage looks like, and is
too sure of itself where the passage is there and says something else.
"""

import argparse
import json
import random
import sys
from pathlib import Path

import edits


def extended(article, rng):
    """Return an article with the changed questions after its own."""
    paragraphs = []
    for paragraph in article["paragraphs"]:
        questions = [{**qa, "is_impossible": False} for qa in paragraph["qas"]]
        for qa in paragraph["qas"]:
            changed = edits.swap(qa["question"], paragraph["context"], rng)
            if changed is not None:
                questions.append({"id": f"{qa['id']}-swapped", "question": changed, "answers": [], "is_impossible": True})
        paragraphs.append({"context": paragraph["context"], "qas": questions})
    return {"title": article["title"], "paragraphs": paragraphs}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heldout")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    rng = random.Random(args.seed)
    source = json.loads(Path(args.heldout).read_text(encoding="utf-8"))
    made = {"version": "v2.0", "data": [extended(article, rng) for article in source["data"]]}
    Path(args.out).write_text(json.dumps(made, ensure_ascii=False) + "\n", encoding="utf-8")
    added = [qa["is_impossible"] for a in made["data"] for p in a["paragraphs"] for qa in p["qas"]]
    print(f"{sum(added)} questions without an answer beside {len(added) - sum(added)} with one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
