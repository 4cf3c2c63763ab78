"""Measures extraction beside a real Apache Tika server on the same files, in
turns A B A B, with the same number of files in work at once:

    deploy/tika/test-server.sh start
    go build -o /tmp/extract ./bench/ingest/extract
    python bench/ingest/compare.py /tmp/extract http://127.0.0.1:19998 FOLDER [ROUNDS]

Prints the ratio of the seconds of each round, and for every type of file how fast
each was and how many of the words that one finds the other finds too. The time of
Needle includes what Tika does not do: language, hash, and cutting into passages.
"""

import collections
import concurrent.futures
import json
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request

WORKERS = 2


# Where tesseract is installed Tika runs it over every picture, thumbnails too.
HEADERS = {"Accept": "text/plain", "Content-Type": "application/octet-stream", "X-Tika-OCRskipOcr": "true"}


def tika(url, files):
    def one(path):
        request = urllib.request.Request(url + "/tika", data=path.read_bytes(), method="PUT", headers=HEADERS)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return str(path), response.read().decode("utf-8", "replace")
        except OSError:
            return str(path), ""

    texts, seconds = {}, {}
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for kind, group in by_type(files).items():
            started = time.monotonic()
            texts.update(pool.map(one, group))
            seconds[kind] = time.monotonic() - started
    failed = sum(not text for text in texts.values())
    if failed > len(files) // 20:
        sys.exit(f"Tika gave no text for {failed} of {len(files)} files: no comparison")
    return seconds, texts


def by_type(files):
    groups = collections.defaultdict(list)
    for path in files:
        groups[path.suffix[1:]].append(path)
    return groups


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
    return seconds, texts, [json.loads(line) for line in lines.splitlines()]


def words(text):
    return collections.Counter(re.findall(r"\w+", text))


def main():
    binary, url, folder = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    files = sorted(p for p in pathlib.Path(folder).resolve().rglob("*") if p.is_file())
    print(f"{len(files)} files, {sum(p.stat().st_size for p in files) / 1e6:.1f} MB, {WORKERS} at once")
    tika(url, files[:400])  # the server compiles what is hot
    ratios, by_kind = [], collections.defaultdict(list)
    for _ in range(rounds):
        ours, our_texts, types = needle(binary, str(pathlib.Path(folder).resolve()))
        theirs, their_texts = tika(url, files)
        total = sum(theirs.values())
        ratios.append(total / ours)
        for t in types:
            by_kind[t["type"]].append((t["seconds"], theirs[t["type"]]))
        print(f"needle {ours:.1f} s (start included), tika {total:.1f} s, ratio {total / ours:.2f}", flush=True)
    print(f"ratio {min(ratios):.2f} to {max(ratios):.2f}; Needle at most {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")
    found = collections.defaultdict(lambda: [0, 0, 0])
    for path in files:
        a, b = words(our_texts.get(str(path), "")), words(their_texts.get(str(path), ""))
        f = found[path.suffix[1:]]
        f[0] += (a & b).total()
        f[1] += a.total()
        f[2] += b.total()
    print("| type | files | MB | files/s | MB/s | ratio | of Tika's words Needle has | of Needle's words Tika has |")
    print("|---|---|---|---|---|---|---|---|")
    for t in sorted(types, key=lambda t: -t["files"]):
        kind = t["type"]
        best = min(ours for ours, _ in by_kind[kind])
        ratio = [theirs / ours for ours, theirs in by_kind[kind]]
        both, a, b = found[kind]
        print(f"| {kind} | {t['files']} | {t['bytes'] / 1e6:.1f} | {t['files'] / best:.0f} | {t['bytes'] / 1e6 / best:.1f} | "
              f"{min(ratio):.2f} to {max(ratio):.2f} | {both / max(b, 1):.1%} | {both / max(a, 1):.1%} |")
    failed = sum(t["failed"] + t["skipped"] for t in types)
    print(f"Needle took {len(our_texts)} of {len(files)} files, {failed} not; Tika gave text for {sum(map(bool, their_texts.values()))}")


main()
