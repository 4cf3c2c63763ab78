"""Reads a SQuAD 2.0 file with a span model and stores what the official script says of the predictions.

    python make_predictions.py DATASET CHECKPOINT

writes predictions.tsv.gz, one line a question in the order of the data set: start and end of the best span in code
points of the paragraph, and the probability of no answer; and official.json, the official figures of these
predictions. Texts are not stored, as the data set is no part of this repository. Needs torch and transformers < 5,
whose squad_metrics is a port of the official evaluate-v2.0.py. Repeatable up to the rounding of the model's logits.
"""

import gzip
import json
import math
import pathlib
import sys
from types import SimpleNamespace

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer
from transformers.data.metrics.squad_metrics import squad_evaluate

HERE = pathlib.Path(__file__).parent
THRESHOLD = 0.5
MAX_ANSWER_TOKENS = 30


def best_span(tokenizer, model, question, context):
    windows = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=384,
        stride=128,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    best, span, null = -math.inf, (0, 0), math.inf
    for i, ids in enumerate(windows["input_ids"]):
        inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        inputs["token_type_ids"] = torch.tensor([windows["token_type_ids"][i]])
        with torch.no_grad():
            output = model(**inputs)
        start, end = output.start_logits[0], output.end_logits[0]
        null = min(null, float(start[0] + end[0]))
        tokens = [k for k, s in enumerate(windows.sequence_ids(i)) if s == 1]
        first, last = tokens[0], tokens[-1] + 1
        scores = start[first:last, None] + end[None, first:last]
        allowed = torch.ones_like(scores).triu().tril(MAX_ANSWER_TOKENS - 1).bool()
        scores = scores.masked_fill(~allowed, -math.inf)
        score = float(scores.max())
        if score > best:
            a, b = divmod(int(scores.argmax()), scores.shape[1])
            offsets = windows["offset_mapping"][i]
            best, span = score, (offsets[first + a][0], offsets[first + b][1])
    return span, 1 / (1 + math.exp(best - null))


def main():
    dataset, checkpoint = sys.argv[1:]
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForQuestionAnswering.from_pretrained(checkpoint).eval()
    examples, texts, no_answer, lines = [], {}, {}, []
    for article in json.loads(pathlib.Path(dataset).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                (start, end), p = best_span(tokenizer, model, qa["question"], paragraph["context"])
                p = round(p, 6)
                examples.append(SimpleNamespace(qas_id=qa["id"], answers=qa["answers"]))
                texts[qa["id"]], no_answer[qa["id"]] = paragraph["context"][start:end], p
                lines.append(f"{start}\t{end}\t{p:.6f}\n")
    official = squad_evaluate(examples, texts, no_answer, THRESHOLD)
    with gzip.GzipFile(HERE / "predictions.tsv.gz", "wb", mtime=0) as file:
        file.write("".join(lines).encode())
    official = {"dataset": pathlib.Path(dataset).name, "threshold": THRESHOLD, **official}
    (HERE / "official.json").write_text(json.dumps(official, indent=1) + "\n")


if __name__ == "__main__":
    main()
