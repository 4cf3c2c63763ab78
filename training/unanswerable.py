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
import re
import sys
from pathlib import Path

ENTITY = re.compile(r"(?<=\w )(?:[A-Z][\w'-]+(?: [A-Z][\w'-]+)*|\d[\d,.]*\d|\d)\b")
# Capital letters that name nothing; an exchange of these changes no meaning.
PLAIN = frozenset(("I", "I'm", "I've", "A", "The", "OP"))


def entities(text):
    """Return the (start, end) of names and numbers inside a text; not the first word, which is always capital."""
    return [m.span() for m in ENTITY.finditer(text) if m.group() not in PLAIN]


def swap(question, passage, rng):
    """Put another name or number of the passage into a question, or return None.

    The result reads like the question and mostly has no answer in the passage.
    """
    its = entities(question)
    if not its:
        return None
    start, end = its[rng.randrange(len(its))]
    old = question[start:end]
    others = sorted({
        passage[a:b] for a, b in entities(passage)
        if passage[a:b][0].isdigit() == old[0].isdigit() and passage[a:b].lower() not in question.lower()
    })
    if not others:
        return None
    return question[:start] + others[rng.randrange(len(others))] + question[end:]


def extended(article, rng):
    """Return an article with the changed questions after its own."""
    paragraphs = []
    for paragraph in article["paragraphs"]:
        questions = [{**qa, "is_impossible": False} for qa in paragraph["qas"]]
        for qa in paragraph["qas"]:
            changed = swap(qa["question"], paragraph["context"], rng)
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
