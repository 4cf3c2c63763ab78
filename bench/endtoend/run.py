"""Needle beside Haystack from question to answer: the same corpus, the same weights, interleaved.

    python run.py NEEDLE --checkpoint DIR --bundle DIR [--questions 60] [--out results.json]

Both retrieve the 10 best paragraphs by BM25 and read them: Haystack 2.31 with
InMemoryBM25Retriever and ExtractiveReader at their defaults, Needle as a server
with the same weights in fp32, and, as it comes, with its own model. Every
question goes to each in turn, in an order that rotates, so that a change of the
machine's mood meets all of them. The first questions warm up and do not count.
"""

import argparse
import collections
import json
import os
import random
import re
import statistics
import string
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "training"))
import squad  # noqa: E402  (the path must be set first)

FILES = ("squad2/dev-half.json", "squadshifts/amazon_reviews.json", "squadshifts/new_wiki.json", "squadshifts/reddit.json")
TICK = os.sysconf("SC_CLK_TCK")
WARM = 3


def load(count):
    """The paragraphs by id, and evenly spaced questions with their gold paragraph."""
    data = squad.shared() / "data"
    texts = list(dict.fromkeys(p for file in FILES for p in squad.passages(data / file)))
    ids = {text: f"p{i:05d}" for i, text in enumerate(texts)}
    questions = []
    for article in json.loads((data / FILES[0]).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                gold = [] if qa.get("is_impossible") else [a["text"] for a in qa["answers"]]
                questions.append({"question": qa["question"].strip(), "gold": gold, "paragraph": ids.get(paragraph["context"])})
    n = len(questions)
    return {i: t for t, i in ids.items()}, [questions[k * n // count] for k in range(count)]


def normal(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def score(answer, golds):
    """EM and F1 as the official SQuAD script has them."""
    if not golds:
        return float(not answer), float(not answer)
    best = [0.0, 0.0]
    for gold in golds:
        a, b = normal(answer).split(), normal(gold).split()
        same = sum((collections.Counter(a) & collections.Counter(b)).values())
        f1 = float(a == b) if not a or not b else 0.0 if not same else 2 * same / (len(a) + len(b))
        best = [max(best[0], float(a == b)), max(best[1], f1)]
    return best[0], best[1]


class Process:
    """What the kernel counts of a process."""

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / TICK

    def peak(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024

    def close(self):
        self.process.terminate()
        self.process.wait()


class Haystack(Process):
    def __init__(self, checkpoint, corpus):
        self.name = "haystack"
        self.process = subprocess.Popen([sys.executable, str(HERE / "haystack_peer.py"), checkpoint, corpus], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if json.loads(self.process.stdout.readline()) != "ready":
            raise SystemExit("haystack did not start")

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Needle(Process):
    def __init__(self, name, needle, config, corpus, directory, port):
        self.name, self.port = name, port
        file = directory / f"{name}.yaml"
        file.write_text(f"data: {directory / name}\nlimits: {{cache_bytes: 0}}\nlog: {{level: error}}\ningest: {{json: {{id: id, text: [text]}}}}\n{config}", encoding="utf-8")
        subprocess.run([needle, "--config", str(file), "index", "add", corpus], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if "type: none" not in config:
            subprocess.run([needle, "--config", str(file), "index", "vectors"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.process = subprocess.Popen([needle, "--config", str(file), "serve", "--addr", f"127.0.0.1:{port}"])
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{name} is not ready after 60 s")

    def ask(self, question):
        body = json.dumps({"question": question, "top_k": 1, "explain": True}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/ask", body, {"Content-Type": "application/json"})
        result = json.load(urllib.request.urlopen(request))
        times = result["timings_ms"]
        retrieve = times.get("retrieve", 0) + times.get("rank", 0)
        return {
            "retrieved": list(dict.fromkeys(c["document_id"] for c in result.get("candidates", [])))[:10],
            "answer": result["answers"][0]["text"] if result["answers"] else "",
            "retrieve_ms": retrieve, "read_ms": times["total"] - retrieve,
        }


def measure(systems, questions):
    rows = {s.name: [] for s in systems}
    for k, question in enumerate(questions[:WARM] + questions):
        order = systems[k % len(systems):] + systems[: k % len(systems)]
        for system in order:
            cpu, wall = system.cpu(), time.monotonic()
            row = system.ask(question["question"])
            row["total_ms"], row["cpu_ms"] = 1000 * (time.monotonic() - wall), system.cpu() - cpu
            row["em"], row["f1"] = score(row["answer"], question["gold"])
            row["answered"] = bool(question["gold"])
            row["recall"] = float(question["paragraph"] in row["retrieved"])
            if k >= WARM:
                rows[system.name].append(row)
    return rows


def interval(values, rounds=10_000):
    source = random.Random(1)
    means = sorted(statistics.fmean(source.choices(values, k=len(values))) for _ in range(rounds))
    return means[int(0.025 * rounds)], means[int(0.975 * rounds)]


def report(rows, peaks):
    print("| system | recall@10 | EM | F1 | retrieve ms | read ms | whole ms (p50 / p95) | CPU ms | peak memory MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, list_ in rows.items():
        middle = lambda key: statistics.median(r[key] for r in list_)  # noqa: E731
        total = sorted(r["total_ms"] for r in list_)
        mean = lambda key, only=False: statistics.fmean(r[key] for r in list_ if r["answered"] or not only)  # noqa: E731
        print(f"| {name} | {mean('recall', True):.3f} | {mean('em'):.3f} | {mean('f1'):.3f} | {middle('retrieve_ms'):.2f} | {middle('read_ms'):.0f} | "
              f"{statistics.median(total):.0f} / {total[int(0.95 * len(total))]:.0f} | {statistics.fmean(r['cpu_ms'] for r in list_):.0f} | {peaks[name]:.0f} |")
    base = rows["haystack"]
    for name, list_ in rows.items():
        if name == "haystack":
            continue
        print(f"\nhaystack / {name}, by question (median, 5 % to 95 %):")
        for key in ("retrieve_ms", "read_ms", "total_ms"):
            ratios = sorted(a[key] / b[key] for a, b in zip(base, list_) if b[key] > 0)
            print(f"  {key}: {statistics.median(ratios):.2f} ({ratios[int(0.05 * len(ratios))]:.2f} to {ratios[int(0.95 * len(ratios))]:.2f})")
        low, high = interval([b["f1"] - a["f1"] for a, b in zip(base, list_)])
        print(f"  f1, {name} less haystack: {statistics.fmean(b['f1'] - a['f1'] for a, b in zip(base, list_)):+.3f} (95 % interval {low:+.3f} to {high:+.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("needle")
    parser.add_argument("--checkpoint", required=True, help="Hugging Face checkpoint for Haystack")
    parser.add_argument("--bundle", required=True, help="the same weights as training/export.py writes them")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--out", default="bench/out/endtoend.json")
    args = parser.parse_args()
    texts, questions = load(args.questions)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        corpus = directory / "corpus.jsonl"
        corpus.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in texts.items()), encoding="utf-8")
        same = f"ranker: {{type: none, top_k: 10}}\nreader: {{bundle: {Path(args.bundle).resolve()}, precision: fp32}}\n"
        systems = [Haystack(args.checkpoint, str(corpus))]
        try:
            systems.append(Needle("needle-fp32", args.needle, same, str(corpus), directory, 18981))
            systems.append(Needle("needle-own-int8", args.needle, "ranker: {type: none, top_k: 10}\nreader: {precision: int8}\n", str(corpus), directory, 18982))
            rows = measure(systems, questions)
            peaks = {s.name: s.peak() for s in systems}
        finally:
            for system in systems:
                system.close()
    print(f"{len(texts)} paragraphs, {len(questions)} questions, {sum(bool(q['gold']) for q in questions)} of them with an answer\n")
    report(rows, peaks)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    Path(args.out).write_text(json.dumps({"rows": rows, "peaks": peaks}), encoding="utf-8")


if __name__ == "__main__":
    main()
