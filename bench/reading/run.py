"""Run the systems of the reading benchmark side by side and print ratios.

    python run.py INPUT.json --checkpoint DIR --bundle DIR \\
        --hugot ./hugot --fused DIR --library DIR \\
        --system "needle-fp32=./needle bench read --config fp32.yaml --precision fp32" \\
        --system "needle-int8=./needle bench read --precision int8"

The systems run in turn, A B C A B C, so that a change of the machine's mood
meets all of them, each time in a fresh process. Of its repetitions the last one
counts: the ones before warm it up. The protocol is in peer.py; --repeat N and
the path of the input are appended to the commands. The raw lines go to --out.
Ratios are taken within a round; the tables show the lowest, the median and the
highest.

Systems that tell their best span of every passage are held against Python's
onnxruntime in the same precision: how many of the spans are the same, and the F1
of their words. The weights are the same, so this is about the rest: tokens,
padding, what is cut off.
"""

import argparse
import collections
import json
import re
import shlex
import statistics
import string
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIELDS = ("system", "precision", "wall_ms", "cpu_ms", "rss_mb", "answer")


class System:
    """A command, and the lines that counted, one a round."""

    def __init__(self, name, command):
        self.name = name
        self.command = command
        self.lines = []

    def measure(self):
        done = subprocess.run(self.command, stdout=subprocess.PIPE, text=True)
        texts = done.stdout.splitlines()
        if done.returncode != 0 or not texts:
            raise SystemExit(f"{self.name} ended with status {done.returncode} after {len(texts)} lines")
        line = json.loads(texts[-1])
        missing = [field for field in FIELDS if field not in line]
        if missing:
            raise SystemExit(f"{self.name} printed a line without {', '.join(missing)}")
        self.lines.append(line)
        return line

    def values(self, field):
        return [line[field] for line in self.lines]


def spread(values, digits):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:.{digits}f} / {middle:.{digits}f} / {high:.{digits}f}"


def ratios(system, base, field, base_field=None):
    """Return the ratio of two systems in every round."""
    pairs = zip(system.values(field), base.values(base_field or field))
    return [a / b for a, b in pairs]


def report(systems):
    print("\n| system | wall ms (min / median / max) | CPU ms | peak RSS MB | answer |")
    print("|---|---|---|---|---|")
    for s in systems.values():
        answers = sorted(set(s.values("answer")))
        print(f"| {s.name} | {spread(s.values('wall_ms'), 0)} | {spread(s.values('cpu_ms'), 0)} | {max(s.values('rss_mb')):.0f} | {'; '.join(answers)} |")
    print("\n| ratio | of | wall (min / median / max) | CPU | CPU of the model alone | peak RSS |")
    print("|---|---|---|---|---|---|")
    for s in systems.values():
        for base in systems.values():
            if not comparable(s, base):
                continue
            alone = "-"
            if "model_cpu_ms" in base.lines[0]:
                alone = spread(ratios(s, base, "cpu_ms", "model_cpu_ms"), 2)
            memory = max(s.values("rss_mb")) / max(base.values("rss_mb"))
            print(f"| {s.name} | {base.name} | {spread(ratios(s, base, 'wall_ms'), 2)} | {spread(ratios(s, base, 'cpu_ms'), 2)} | {alone} | {memory:.2f} |")


def agreement(systems):
    """Print how the spans of the systems compare with those of onnxruntime."""
    bases = {s.lines[0]["precision"]: s for s in systems.values() if s.lines[0]["system"] == "onnxruntime"}
    rows = []
    for s in systems.values():
        base = bases.get(s.lines[0]["precision"])
        if base is None or base is s or "spans" not in s.lines[0]:
            continue
        ours, theirs = s.lines[0]["spans"], base.lines[0]["spans"]
        same = sum(a == b for a, b in zip(ours, theirs))
        f1 = statistics.fmean(overlap(a, b) for a, b in zip(ours, theirs))
        rows.append(f"| {s.name} | {base.name} | {same} of {len(theirs)} | {f1:.3f} |")
    if rows:
        print("\n| system | of | same span | F1 of the words |\n|---|---|---|---|")
        print("\n".join(rows))


def overlap(a, b):
    """F1 of the words of two texts, as the official SQuAD script counts."""
    a, b = normal(a), normal(b)
    same = sum((collections.Counter(a) & collections.Counter(b)).values())
    return float(a == b) if not a or not b else 2 * same / (len(a) + len(b))


def normal(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def comparable(system, base):
    """Everything is held against Haystack, and against onnxruntime in the same precision."""
    if system is base or system.lines[0]["system"] == "haystack":
        return False
    if base.lines[0]["system"] == "haystack":
        return True
    both = base.lines[0]["system"] == "onnxruntime" != system.lines[0]["system"]
    return both and base.lines[0]["precision"] == system.lines[0]["precision"]


def commands(args):
    """Return the command of every system by name, in the order of asking."""
    own = {
        "haystack": [sys.executable, str(HERE / "haystack_reader.py"), args.checkpoint],
        "transformers": [sys.executable, str(HERE / "transformers_pipeline.py"), args.checkpoint],
        "onnxruntime-fp32": [sys.executable, str(HERE / "onnx_singles.py"), "--precision", "fp32", args.bundle],
        "onnxruntime-int8": [sys.executable, str(HERE / "onnx_singles.py"), "--precision", "int8", args.bundle],
    }
    if args.hugot:
        for precision in ("fp32", "int8"):
            own[f"hugot-{precision}"] = [args.hugot, "-model", args.fused, "-library", args.library, "-precision", precision]
    result = {name: command for name, command in own.items() if name not in args.without}
    for text in args.system:
        name, separator, command = text.partition("=")
        if not separator or not name or not command:
            raise SystemExit(f"--system {text!r}: want NAME=COMMAND")
        result[name] = shlex.split(command)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="file that passages.py wrote")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--bundle", required=True, help="bundle of that checkpoint with fp32 and int8 graphs")
    parser.add_argument("--hugot", help="the program of bench/reading/hugot; also --fused and --library")
    parser.add_argument("--fused", help="directory with the graphs of export.py --fused and the checkpoint's config.json")
    parser.add_argument("--library", help="directory with libonnxruntime.so")
    parser.add_argument("--system", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--without", nargs="*", default=[], help="names of the systems here to leave out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=2, help="repetitions in a process; the last one counts")
    parser.add_argument("--out", help="file for the raw lines")
    args = parser.parse_args()
    last = ["--repeat", str(args.repeat), args.input]
    systems = {name: System(name, [*command, *last]) for name, command in commands(args).items()}
    for round_number in range(args.rounds):
        for system in systems.values():
            line = system.measure()
            print(f"round {round_number + 1} {system.name}: {line['wall_ms']:.0f} ms wall, {line['cpu_ms']:.0f} ms CPU", file=sys.stderr)
    report(systems)
    agreement(systems)
    if args.out:
        lines = [{"name": s.name, "round": i, **line} for s in systems.values() for i, line in enumerate(s.lines)]
        Path(args.out).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
