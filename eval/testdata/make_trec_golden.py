"""Writes trec.tsv: what trec_eval says of a simple ranking of the Cranfield collection.

    python make_trec_golden.py CRANFIELD_DIR

The score of a document is the number of different words that it shares with the query, at least three, so that there
are many ties; trec_eval breaks them by document id, descending. Needs pytrec-eval-terrier. Repeatable.
"""

import json
import pathlib
import sys

import pytrec_eval

HERE = pathlib.Path(__file__).parent
MEASURES = ["recip_rank", "map", "ndcg_cut_10", "recall_1", "recall_5", "recall_10", "recall_20", "recall_50"]
REQUEST = {"recip_rank", "map", "ndcg_cut.10", "recall.1,5,10,20,50"}


def main():
    root = pathlib.Path(sys.argv[1])
    read = lambda name: [json.loads(line) for line in (root / name).read_text(encoding="utf-8").splitlines()]
    documents = {d["_id"]: set(d["text"].split()) for d in read("corpus.jsonl")}
    qrels = {}
    for line in (root / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    run = {}
    for query in read("queries.jsonl"):
        words = set(query["text"].split())
        scores = {d: float(len(words & text)) for d, text in documents.items()}
        run[query["_id"]] = {d: s for d, s in scores.items() if s >= 3}
    results = pytrec_eval.RelevanceEvaluator(qrels, REQUEST).evaluate(run)
    lines = ["query\t" + "\t".join(MEASURES)]
    lines += [q + "\t" + "\t".join(f"{results[q][m]:.9f}" for m in MEASURES) for q in run if q in results]
    (HERE / "trec.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
