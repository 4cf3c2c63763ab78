"""Measure how well a reader answers, and how well it knows that there is no answer.

    python evaluate.py BUNDLE --precision int8
    python evaluate.py BUNDLE --contrast COUNTERPARTS.jsonl.gz --file RUN/heldout.json

The yardstick is squad2/dev-half.json: F1 and EM of the best span on answered
questions with the gold paragraph; AUC of the no-answer score, answered against
unanswered questions, each with its own paragraph; with --open, F1 when BM25
picks the passages from all paragraphs of squad2 and squadshifts and the greatest
margin of span over null picks the answer. The second form takes the held-out
questions and their counterparts (contrast.py): AUC of questions as they are
against each kind, by margin and by relevance; F1 of each kind that keeps its answer. Windows and spans are those of
quality.py. Nothing may be chosen by these numbers.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy
import torch
from safetensors.numpy import load_file
from transformers import PreTrainedTokenizerFast
from transformers.data.metrics.squad_metrics import compute_exact, compute_f1

import data
import mining
import quality
import spans
import squad


def auc(positive, negative):
    """Return P(a positive scores above a negative), ties half (Mann-Whitney)."""
    both = numpy.concatenate([positive, negative])
    order = numpy.argsort(both, kind="stable")
    ranks = numpy.empty(len(both))
    ranks[order] = numpy.arange(1, len(both) + 1)
    for value in numpy.unique(both):
        same = both == value
        ranks[same] = ranks[same].mean()
    count = len(positive)
    return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * len(negative)))


@torch.no_grad()
def read(model, tokenizer, pairs, bf16=False):
    """Return (best span text, margin of the span over null, relevance) of each (question, passage), one window at a time."""
    model.eval()
    result = []
    for question, passage in pairs:
        cut = spans.windows(tokenizer, question, passage)
        logits, null, relevance = [], [], []
        for window in cut:
            ids, types = (torch.from_numpy(values)[None].to(model.device) for values in (window.ids, window.type_ids))
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                start, end, relevant = model(ids, torch.ones_like(ids), types)
            start, end = start.cpu(), end.cpu()
            logits.append((start[0].numpy(), end[0].numpy()))
            null.append(float(start[0, data.NULL] + end[0, data.NULL]))
            relevance.append(float(relevant[0]))
        span = spans.best(passage, cut, logits)
        # A passage is without answer only as far as every window says so.
        result.append((span.text, float(span.score) - min(null), max(relevance)))
    model.train()
    return result


def held_out(model, tokenizer, corpus, questions, wrong, bf16):
    """Measure F1 and EM with the gold passage, and how well wrong passages are told from it."""
    gold = read(model, tokenizer, [(q.text, corpus.passages[q.passage]) for q in questions], bf16)
    others = read(model, tokenizer, [(q.text, corpus.passages[w]) for q, w in zip(questions, wrong)], bf16)
    f1 = numpy.mean([max(compute_f1(t, g[0]) for t in corpus.texts(q)) for q, g in zip(questions, gold)])
    em = numpy.mean([max(compute_exact(t, g[0]) for t in corpus.texts(q)) for q, g in zip(questions, gold)])
    column = [[numpy.array([r[k] for r in results]) for k in (1, 2)] for results in (gold, others)]
    return {
        "f1": round(100 * float(f1), 2), "em": round(100 * float(em), 2), "n": len(questions),
        "auc_margin": round(auc(column[0][0], column[1][0]), 4),
        "auc_relevance": round(auc(column[0][1], column[1][1]), 4),
        "pairwise_margin": round(float((column[0][0] > column[1][0]).mean()), 4),
    }


class Bundle:
    """A split bundle: reads (question, passage) pairs with the graph of one precision."""

    def __init__(self, directory, precision):
        directory = Path(directory)
        manifest = json.loads((directory / "needle.json").read_text(encoding="utf-8"))
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / manifest["tokenizer"]))
        self.session = quality.session(str(directory / manifest["graphs"][precision]))
        self.inputs = [i.name for i in self.session.get_inputs()]
        self.heads = {head["kind"]: load_file(directory / head["file"]) for head in manifest["heads"]}

    def read(self, question, passage):
        """Return (best span text, margin of the span over null, relevance or 0)."""
        cut = spans.windows(self.tokenizer, question, passage)
        logits, null, relevance = [], [], []
        for window in cut:
            hidden = self.session.run(["last_hidden_state"], window.inputs(self.inputs))[0][0]
            both = hidden @ self.heads["span"]["weight"].T + self.heads["span"]["bias"]
            logits.append((both[:, 0], both[:, 1]))
            null.append(float(both[data.NULL].sum()))
            head = self.heads.get("relevance")
            relevance.append(float(hidden[data.NULL] @ head["weight"][0] + head["bias"][0]) if head else 0.0)
        span = spans.best(passage, cut, logits)
        if span is None:
            return "", float("-inf"), max(relevance)
        return span.text, float(span.score) - min(null), max(relevance)


def yardstick(bundle, questions):
    """Measure answered and unanswered questions of squad2/dev-half.json, the same number of each."""
    pairs = list(squad.read(squad.shared() / "data" / "squad2" / "dev-half.json"))
    answered = squad.spread([p for p in pairs if p.answers], questions)
    unanswered = squad.spread([p for p in pairs if not p.answers], questions)
    begin = time.process_time()
    right = [bundle.read(p.question, p.passage) for p in answered]
    none = [bundle.read(p.question, p.passage) for p in unanswered]
    scores = [quality.score(p.answers, r[0]) for p, r in zip(answered, right)]
    column = [[numpy.array([r[k] for r in results]) for k in (1, 2)] for results in (right, none)]
    return {
        "f1": percent(s[1] for s in scores), "em": percent(s[0] for s in scores), "answered": len(answered),
        "unanswered": len(unanswered),
        "auc_margin": round(auc(column[0][0], column[1][0]), 4),
        "auc_relevance": round(auc(column[0][1], column[1][1]), 4),
        "cpu_s": round(time.process_time() - begin, 1),
    }


def open_domain(bundle, pairs, questions, depth):
    """Answer questions from the whole corpus: BM25 picks depth passages, the greatest margin picks the answer."""
    shared = squad.shared() / "data"
    files = [shared / "squad2" / "dev-half.json", *sorted((shared / "squadshifts").glob("*.json"))]
    passages = list(dict.fromkeys(p for file in files for p in squad.passages(file)))
    index = mining.BM25(passages)
    chosen = squad.spread([p for p in pairs if p.answers], questions)
    results = {"margin": [], "relevance": [], "first": []}
    found, gold_margin, best_wrong = 0, [], []
    for pair in chosen:
        candidates = [passages[i] for i in index.top(pair.question, depth)]
        reads = [bundle.read(pair.question, passage) for passage in candidates]
        found += pair.passage in candidates
        for name, order in (("margin", 1), ("relevance", 2)):
            text = max(reads, key=lambda r: r[order])[0] if reads else ""
            results[name].append(quality.score(pair.answers, text))
        results["first"].append(quality.score(pair.answers, reads[0][0] if reads else ""))
        if pair.passage in candidates and len(reads) > 1:
            gold = candidates.index(pair.passage)
            gold_margin.append(reads[gold][1])
            best_wrong.append(max(r[1] for i, r in enumerate(reads) if i != gold))
    return {
        "passages": len(passages), "questions": len(chosen), "depth": depth, "gold_found": round(found / len(chosen), 3),
        "gold_has_greatest_margin": round(float((numpy.array(gold_margin) > numpy.array(best_wrong)).mean()), 3),
        **{f"f1_by_{name}": percent(s[1] for s in its) for name, its in results.items()},
        **{f"em_by_{name}": percent(s[0] for s in its) for name, its in results.items()},
    }


def contrasts(bundle, path, file, questions):
    """Measure the questions of a SQuAD file and their counterparts."""
    corpus = data.Corpus([file])
    by_id = {q.id: q for q in corpus.questions}
    own = {q.id: bundle.read(q.text, corpus.passages[q.passage]) for q in squad.spread(corpus.questions, questions)}
    found, scores = {}, {}
    gone, kept = data.counterparts(path, set(own))
    for lines in [*gone.values(), *kept.values()]:
        for line in lines:
            q = by_id[line["id"]]
            passage = line["passage"] or corpus.passages[q.passage]
            text, margin, relevance = bundle.read(line["question"] or q.text, passage)
            found.setdefault(line["kind"], []).append((margin, relevance))
            if line["answer"]:
                scores.setdefault(line["kind"], []).append(quality.score([passage[slice(*line["answer"])]], text)[1])
    right = numpy.array([r[1:] for r in own.values()])
    found["all without an answer"] = [pair for kind, its in found.items() if kind not in scores for pair in its]
    return {
        "f1": percent(quality.score(corpus.texts(by_id[key]), r[0])[1] for key, r in own.items()),
        "em": percent(quality.score(corpus.texts(by_id[key]), r[0])[0] for key, r in own.items()),
        "questions": len(own),
        "kinds": {kind: {"n": len(its), "auc_margin": round(auc(right[:, 0], numpy.array(its)[:, 0]), 3),
                         "auc_relevance": round(auc(right[:, 1], numpy.array(its)[:, 1]), 3),
                         **({"f1": percent(scores[kind])} if kind in scores else {})} for kind, its in sorted(found.items())},
    }


def percent(values):
    return round(100 * float(numpy.mean(list(values))), 2)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--questions", type=int, default=300, help="answered questions; as many unanswered ones, or the counterparts that they have")
    parser.add_argument("--open", type=int, default=0, help="questions to answer from the whole corpus")
    parser.add_argument("--depth", type=int, default=10, help="passages that BM25 picks")
    parser.add_argument("--contrast", help="counterparts of the questions of --file; nothing else is measured then")
    parser.add_argument("--file", help="SQuAD file for --open instead of the yardstick; its gold-passage numbers are left out")
    args = parser.parse_args(arguments)
    bundle = Bundle(args.bundle, args.precision)
    result = {"bundle": Path(args.bundle).name, "precision": args.precision}
    if args.contrast:
        print(json.dumps({**result, **contrasts(bundle, args.contrast, args.file, args.questions)}), flush=True)
        return 0
    if not args.file:
        result.update(yardstick(bundle, args.questions))
    if args.open:
        pairs = list(squad.read(args.file or squad.shared() / "data" / "squad2" / "dev-half.json"))
        result["open"] = open_domain(bundle, pairs, args.open, args.depth)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    sys.exit(main())
