"""Measure what watching costs: the CPU of a question with everything of `monitor` off and on.

    python run.py NEEDLE INDEX_SOURCE QUESTIONS.json [--seconds 240]

Two servers over equal indexes answer the same questions in turn, A B B A, so
that a change of the machine's mood meets both. The CPU is that of the whole
process, all threads, as the kernel counts it. Caches are off: a cached answer
costs so little that nothing could be measured. The interval is a bootstrap over
the rounds.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

OFF = "telemetry: {metrics: false}\nmonitor: {drift: false, keep_questions: false}\n"
ON = "telemetry: {metrics: true}\nmonitor: {drift: true, keep_questions: true, drift_window: 50}\n"
TICK = os.sysconf("SC_CLK_TCK")


class Server:
    """A server of its own with a configuration."""

    def __init__(self, needle, source, directory, name, config, port, canaries):
        self.name = name
        self.port = port
        data = directory / name
        self.config = directory / f"{name}.yaml"
        self.config.write_text(f"data: {data}\nlimits: {{cache_bytes: 0}}\nlog: {{level: error}}\n{config}", encoding="utf-8")
        self.command = [needle, "--config", str(self.config)]
        subprocess.run([*self.command, "index", "add", source], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if canaries:
            subprocess.run([*self.command, "canary", "set", "--dataset", "nq-open", "--path", canaries, "--limit", "20"], check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        self.process = subprocess.Popen([*self.command, "serve", "--addr", f"127.0.0.1:{self.port}"])
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz").read()
                return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{self.name} is not ready after 30 s")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def cpu(self):
        """The seconds of all threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def ask(self, question):
        body = json.dumps({"question": question}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/ask", body, {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))

    def block(self, questions):
        """CPU and wall time of a question, in ms."""
        cpu, wall = self.cpu(), time.monotonic()
        for question in questions:
            self.ask(question)
        return 1000 * (self.cpu() - cpu) / len(questions), 1000 * (time.monotonic() - wall) / len(questions)


def interval(values, rounds=10_000):
    source = random.Random(1)
    means = sorted(statistics.fmean(source.choices(values, k=len(values))) for _ in range(rounds))
    return means[int(0.025 * rounds)], means[int(0.975 * rounds)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("needle")
    parser.add_argument("source", help="what to index")
    parser.add_argument("questions", help="a JSON list of objects with question and answers")
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--block", type=int, default=10, help="questions a turn")
    args = parser.parse_args()
    asked = json.loads(Path(args.questions).read_text(encoding="utf-8"))
    questions = [q["question"] for q in asked]
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        golden = directory / "golden.jsonl"
        golden.write_text("".join(json.dumps({"question": q["question"], "answer": q.get("answers", [])}) + "\n" for q in asked), encoding="utf-8")
        off = Server(args.needle, args.source, directory, "off", OFF, 18971, None)
        on = Server(args.needle, args.source, directory, "on", ON, 18972, str(golden))
        with off, on:
            # The watch asks its canaries once at the start; that is not what a
            # question costs.
            time.sleep(15)
            for server in (off, on):
                server.block(questions[: args.block])
            rounds, begin, at = [], time.monotonic(), 0
            while time.monotonic() - begin < args.seconds:
                part = [questions[(at + i) % len(questions)] for i in range(args.block)]
                at += args.block
                first, second = (off, on) if len(rounds) % 2 == 0 else (on, off)
                a, b = first.block(part), second.block(part)
                rounds.append((a, b) if first is off else (b, a))
    for i, what in enumerate(("CPU", "wall")):
        ratios = [100 * (b[i] / a[i] - 1) for a, b in rounds]
        low, high = interval(ratios)
        base = statistics.fmean(a[i] for a, _ in rounds)
        print(f"{what}: {base:.1f} ms a question without; {statistics.fmean(ratios):+.2f} % with, 95 % interval {low:+.2f} to {high:+.2f} %, {len(rounds)} rounds of {args.block} questions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
