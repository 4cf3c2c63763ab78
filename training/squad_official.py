"""Score predictions as the official SQuAD 2.0 script does.

    python squad_official.py PREDICTIONS.json DATASET.json [--na-prob FILE [--threshold T]]

PREDICTIONS maps question ids to texts, "" for no answer. FILE maps question ids
to the probability of no answer. Prints the figures as JSON, in percent. The
arithmetic is that of transformers' port of the script; this only feeds it.
"""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from transformers.data.metrics.squad_metrics import squad_evaluate


def examples(dataset):
    """Yield what squad_evaluate reads of a question."""
    for article in dataset["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                yield SimpleNamespace(qas_id=str(qa["id"]), answers=qa["answers"])


def evaluate(predictions, dataset, na_probs=None, threshold=1.0):
    questions = list(examples(dataset))
    known = {question.qas_id for question in questions}
    missing = known - predictions.keys()
    # The port leaves questions without a prediction out of the mean, which
    # would reward a system for being silent.
    if missing:
        raise ValueError(f"{len(missing)} of {len(known)} questions have no prediction, for example {min(missing)}")
    predictions = {key: predictions[key] for key in known}
    if na_probs is not None:
        na_probs = {key: float(na_probs[key]) for key in known}
    result = squad_evaluate(questions, predictions, na_probs, threshold)
    if na_probs is None:  # the best threshold over nothing says nothing
        result = {key: value for key, value in result.items() if not key.startswith("best_")}
    return dict(result)


def load(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions")
    parser.add_argument("dataset")
    parser.add_argument("--na-prob", help="JSON file with the probability of no answer by question id")
    parser.add_argument("--threshold", type=float, default=1.0, help="above it a question counts as unanswered")
    args = parser.parse_args(arguments)
    na_probs = load(args.na_prob) if args.na_prob else None
    print(json.dumps(evaluate(load(args.predictions), load(args.dataset), na_probs, args.threshold), indent=2))


if __name__ == "__main__":
    sys.exit(main())
