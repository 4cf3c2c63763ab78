"""Needle beside its peers, in one command: reading, question to answer, retrieval.

    python bench/run.py [--parts reading endtoend retrieval] [--rounds 5] [--work DIR]

It builds Needle and the peers in Go, exports the shared checkpoint so that all
have the same weights, runs the parts one after the other and puts tables (.txt),
raw numbers (.json, .jsonl) and pictures (.svg) into bench/out. What each part
does and how to read it is in the README.md of its folder. The Python that runs
this needs bench/reading/requirements.txt and bench/retrieval/requirements.txt.
Leave the machine alone while it measures.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "bench" / "out"
PARTS = ("reading", "endtoend", "retrieval")


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def call(*command, to=None, cwd=ROOT, env=None):
    """Run a command; its table goes to a file too."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, stdout=subprocess.PIPE if to else None, text=True)
    if to:
        to.write_text(done.stdout, encoding="utf-8")
        print(done.stdout, flush=True)
    if done.returncode != 0:
        raise SystemExit(f"{Path(str(command[0])).name} {command[1]} ended with status {done.returncode}")


class Bench:
    def __init__(self, args):
        self.args = args
        self.shared = Path(os.environ.get("NEEDLE_SHARED", ROOT / ".." / "shared")).resolve()
        self.checkpoint = self.shared / "models" / "minilm-span"
        if not self.checkpoint.is_dir():
            raise SystemExit(f"{self.checkpoint} is missing; set NEEDLE_SHARED")
        self.work = Path(args.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        OUT.mkdir(parents=True, exist_ok=True)

    def prepare(self):
        """Build what is measured, and export the weights, both unless done before."""
        say("build")
        self.needle = self.work / "needle"
        call("go", "build", "-o", self.needle, "./cmd/needle")
        self.bundle, self.fused = self.work / "bundle", self.work / "fused"
        for directory, more in ((self.bundle, []), (self.fused, ["--fused"])):
            if not (directory / "needle.json").is_file():
                say(f"export {directory.name}")
                call(sys.executable, "export.py", self.checkpoint, directory, *more, cwd=ROOT / "training")
        # Hugot takes the greatest length from it, and refuses a key without a value.
        # It knows no pairs, of which the tokenizer is told to cut the second.
        tokenizer = json.loads((self.fused / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer["truncation"] = tokenizer["padding"] = None
        (self.fused / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        config = json.loads((self.checkpoint / "config.json").read_text(encoding="utf-8"))
        (self.fused / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}), encoding="utf-8")

    def hugot(self):
        """Build the peer, if its tokenizers are there: a library in Rust that it links."""
        folder = os.environ.get("HUGOT_TOKENIZERS")
        if not folder:
            say("hugot is left out: HUGOT_TOKENIZERS does not name the folder of libtokenizers.a")
            return []
        program = self.work / "hugot"
        env = {**os.environ, "CGO_LDFLAGS": f"-L{Path(folder).resolve()}"}
        call("go", "build", "-tags", "ORT", "-o", program, ".", cwd=ROOT / "bench" / "reading" / "hugot", env=env)
        # The same library that Python has.
        import onnxruntime

        library = self.work / "onnxruntime"
        library.mkdir(exist_ok=True)
        link = library / "libonnxruntime.so"
        link.unlink(missing_ok=True)
        link.symlink_to(next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*")))
        return ["--hugot", program, "--fused", self.fused, "--library", library]

    def reading(self):
        self.prepare()
        peers = self.hugot()
        call(sys.executable, "bench/reading/passages.py", OUT / "reading.json")
        config = self.work / "fp32.yaml"
        config.write_text(f"reader: {{bundle: {self.bundle}}}\n", encoding="utf-8")
        call(sys.executable, "bench/reading/run.py", OUT / "reading.json", "--checkpoint", self.checkpoint, "--bundle", self.bundle,
             "--rounds", self.args.rounds, "--out", OUT / "reading.jsonl", *peers,
             "--system", f"needle-fp32={self.needle} bench read --config {config} --precision fp32",
             "--system", f"needle-int8={self.needle} bench read --config {config} --precision int8", to=OUT / "reading.txt")
        call(sys.executable, "bench/reading/plot.py", OUT / "reading.jsonl", OUT / "reading.svg")

    def endtoend(self):
        self.prepare()
        call(sys.executable, "bench/endtoend/run.py", self.needle, "--checkpoint", self.checkpoint, "--bundle", self.bundle,
             "--questions", self.args.questions, "--out", OUT / "endtoend.json", to=OUT / "endtoend.txt")
        call(sys.executable, "bench/endtoend/plot.py", OUT / "endtoend.json", OUT / "endtoend.svg")

    def retrieval(self):
        # Elasticsearch is a server of its own, and starting one is not for a
        # program that may find one at work already.
        systems = ["needle", "lucene", "elastic", "tantivy", "bm25s"]
        if "NEEDLE_ES_URL" not in os.environ:
            say("elasticsearch is left out: NEEDLE_ES_URL does not name a server; deploy/elasticsearch/test-server.sh starts one")
            systems.remove("elastic")
        call("go", "run", "./bench/retrieval", "-data", self.shared / "data", "-work", self.work / "retrieval", "-python", sys.executable,
             "-systems", ",".join(systems), "-n", self.args.passages, "-rounds", self.args.rounds, "-out", OUT / "retrieval.json", to=OUT / "retrieval.txt")
        call(sys.executable, "bench/retrieval/plot.py", OUT / "retrieval.json", OUT / "retrieval.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=5, help="reading and retrieval: rounds in turn")
    parser.add_argument("--questions", type=int, default=60, help="endtoend: questions")
    parser.add_argument("--passages", default="10000,100000", help="retrieval: numbers of passages")
    parser.add_argument("--work", default=str(OUT / "work"), help="folder for programs, bundles and indexes, which are used again")
    args = parser.parse_args()
    bench = Bench(args)
    for part in args.parts:
        begin = time.monotonic()
        say(part)
        getattr(bench, part)()
        say(f"{part}: {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
