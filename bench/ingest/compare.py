"""Measures extraction beside a real Apache Tika server on the same files, in
turns A B A B, with the same number of files in work at once:

    deploy/tika/test-server.sh start
    go build -o /tmp/extract ./bench/ingest/extract
    python bench/ingest/compare.py /tmp/extract http://127.0.0.1:19998 FOLDER [ROUNDS]

Prints seconds of each round, their ratio, and how many of the words that one
finds the other finds too, for every type of file.
"""

import collections
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

WORKERS = 2


def tika(url, files):
    def one(path):
        request = urllib.request.Request(url + "/tika", data=path.read_bytes(), method="PUT", headers={"Accept": "text/plain", "Content-Type": "application/octet-stream"})
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return str(path), response.read().decode("utf-8", "replace")
        except OSError:
            return str(path), ""

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        texts = dict(pool.map(one, files))
    seconds = time.monotonic() - started
    failed = sum(not text for text in texts.values())
    if failed > len(files) // 20:
        sys.exit(f"Tika gave no text for {failed} of {len(files)} files: no comparison")
    return seconds, texts


def needle(binary, folder):
    with tempfile.TemporaryDirectory() as d:
        out = pathlib.Path(d) / "out.jsonl"
        started = time.monotonic()
        lines = subprocess.run([binary, "-workers", str(WORKERS), "-out", str(out), folder], check=True, capture_output=True, text=True).stdout
        seconds = time.monotonic() - started
        texts = {}
        with out.open() as f:
            for line in f:
                doc = json.loads(line)
                texts[doc["path"]] = doc["text"]
    return seconds, texts, lines


def words(text):
    return collections.Counter(re.findall(r"\w+", text))


def main():
    binary, url, folder = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    files = sorted(p for p in pathlib.Path(folder).resolve().rglob("*") if p.is_file())
    print(f"{len(files)} files, {sum(p.stat().st_size for p in files) / 1e6:.1f} MB, {WORKERS} at once")
    tika(url, files[:200])  # the server compiles what is hot
    ratios = []
    for _ in range(rounds):
        ours, our_texts, lines = needle(binary, str(pathlib.Path(folder).resolve()))
        theirs, their_texts = tika(url, files)
        ratios.append(theirs / ours)
        print(f"needle {ours:.1f} s, tika {theirs:.1f} s, ratio {theirs / ours:.2f}")
    print(lines, end="")
    found = collections.defaultdict(lambda: [0, 0, 0])
    for path in files:
        a, b = words(our_texts.get(str(path), "")), words(their_texts.get(str(path), ""))
        f = found[path.suffix]
        f[0] += (a & b).total()
        f[1] += a.total()
        f[2] += b.total()
    for suffix, (both, a, b) in sorted(found.items()):
        print(f"{suffix}: of Needle's {a} words Tika has {both / max(a, 1):.1%}, of Tika's {b} Needle has {both / max(b, 1):.1%}")
    print(f"ratio {min(ratios):.2f} to {max(ratios):.2f}")


main()
