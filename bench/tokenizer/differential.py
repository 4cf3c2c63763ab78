"""Compares Needle's tokenizer with the tokenizers library.

    pip install tokenizers==0.22.2
    python differential.py --tokenizer ../../../shared/models/minilm-span/tokenizer.json codepoints
    python differential.py --tokenizer T fuzz --seconds 60 --seed 1
    python differential.py --tokenizer T text DIR     DIR holds SCRIPT/*.txt, see gather.py
    python differential.py --tokenizer T speed DIR    tokens per second of processor time

Prints the number of different lines, and exits with 1 if there is one.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "models" / "tokenizer" / "testdata"))

import golden  # noqa: E402


class Both:
    """The two implementations on one tokenizer.json."""

    def __init__(self, path, cut):
        self.path, self.cut = path, cut
        self.tokenizer = tokenizers.Tokenizer.from_file(path)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def needle(self, requests):
        with tempfile.TemporaryFile() as f:
            for r in requests:
                f.write(json.dumps(r).encode() + b"\n")
            f.seek(0)
            out = subprocess.run([self.cut, self.path], stdin=f, stdout=subprocess.PIPE, check=True)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def library(self, r):
        if "text" in r:
            e = self.tokenizer.encode(r["text"], add_special_tokens=False)
            return [x for i, (a, b) in zip(e.ids, e.offsets) for x in (i, a, b)]
        question = self.tokenizer.encode(r["question"], add_special_tokens=False)
        added = self.tokenizer.num_special_tokens_to_add(True)
        if r["max_length"] - added - len(question.ids) <= r["stride"]:
            # Needle refuses such a question; the library panics, unless the passage is short.
            return None
        rows = golden.windows(self.tokenizer, r["question"], r["passage"], r["max_length"], r["stride"])
        return [[x for row in window for x in row] for window in rows]

    def compare(self, requests, show=5):
        differences = 0
        for r, got in zip(requests, self.needle(requests), strict=True):
            want = self.library(r)
            if got != want:
                differences += 1
                if differences <= show:
                    print("differs:", json.dumps(r), "\n  got ", got, "\n  want", want)
        return differences


def code_points():
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            yield chr(c)


def all_code_points(both):
    differences = 0
    for name, form in {
        "alone": "{}", "between letters": "a{}b", "doubled": "x{0}{0}", "upper case": "A{}B",
        "before a mark": "{}\u0301z", "between marks": "e\u0301{}\u0323o", "between Hangul": "한{}국",
        "between spaces": "a {} b", "before digits": "{}12",
    }.items():
        requests = [{"text": form.format(c)} for c in code_points()]
        n = both.compare(requests)
        print(f"code points, {name}: {n} of {len(requests)} differ")
        differences += n
    return differences


ALPHABETS = [
    "abcdefgh ", "ABCÀÉÎÕÜßİıǅﬁﬀſK ", " \t\n\r\x0b\x0c\x85\xa0\u2003\u2028\u3000", "\x00\x01\x7f\x9f\xad\ufffd\ufeff\u200b\u200d\u202e",
    ".,;:!?'\"()[]{}-_/\\#@$%^&*+=<>|~`«»“”‘’…—·", "0123456789٠١२३৪", "中国日本語漢字豈更ｱﾞカﾞがが", "한국어가각힣ᄒ\u1161\u11a8ᅡ",
    "אבגדשׁשׂ\u05b0\u05bc", "العربيةأإآ\u064b\u064e\u0651", "हिन्दी\u093c\u094dक़ख़", "ไทยกำ\u0e33\u0e49", "ქართულიႠᲐ", "தமிழ்\u0bc6\u0bbe",
    "ΑΒΓάέήΆΐΰςΣ\u0345", "ЁёЙйЇїҐ", "\u0300\u0301\u0308\u0323\u0327\u0334\u0345\u302a\u302e\u0f71\u0f72\u0f74\U0001d165\U0001d16e",
    "😀👩‍👩‍👧🏽🇩🇪❤️", "\U00010400\U0001d400\U000e0041\U0010ffff\ue000\u1e9e\u0130", "##", "▁", "'s't're'll",
]


def random_text(rng, special):
    parts = []
    for _ in range(rng.randrange(1, 12)):
        kind = rng.random()
        if kind < 0.12 and special:
            parts.append(rng.choice(special)[: rng.choice([1, 3, 99, 99, 99])])
        elif kind < 0.25:
            parts.append("".join(chr(rng.choice([rng.randrange(0x800), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)]))
                                 for _ in range(rng.randrange(1, 6))))
        elif kind < 0.3:
            parts.append(rng.choice(rng.choice(ALPHABETS)) * rng.randrange(1, 120))
        else:
            alphabet = rng.choice(ALPHABETS) + (rng.choice(ALPHABETS) if rng.random() < 0.5 else "")
            parts.append("".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 12))))
        if rng.random() < 0.4:
            parts.append(rng.choice(["", " ", "  "]))
    return "".join(parts)


def fuzz(both, seconds, seed):
    rng = random.Random(seed)
    special = [t.content for t in both.tokenizer.get_added_tokens_decoder().values()]
    differences = tried = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        requests = []
        for _ in range(5000):
            if rng.random() < 0.8:
                requests.append({"text": random_text(rng, special)})
            else:
                stride = rng.randrange(0, 12)
                requests.append({"question": random_text(rng, special), "passage": random_text(rng, special) * rng.randrange(1, 4),
                                 "max_length": rng.randrange(8, 120), "stride": stride})
        differences += both.compare(requests)
        tried += len(requests)
    print(f"fuzz, seed {seed}: {differences} of {tried} differ")
    return differences


def folders(directory):
    for folder in sorted(p for p in pathlib.Path(directory).iterdir() if p.is_dir() and not p.name.startswith(".")):
        lines = []
        for file in sorted(folder.glob("*.txt")):
            lines += file.read_text(encoding="utf-8").split("\n")
        yield folder.name, [line for line in lines if line]


def text(both, directory, limit):
    total = differences = 0
    for script, lines in folders(directory):
        lines = lines[:: max(1, len(lines) // limit)] if limit else lines
        n = both.compare([{"text": line} for line in lines])
        # Neighbouring lines make pairs: a short one asks, what follows it answers.
        pairs = [{"question": lines[i][:60], "passage": " ".join(lines[i + 1 : i + 9]), "max_length": 192, "stride": 48}
                 for i in range(0, len(lines) - 9, 9)]
        m = both.compare(pairs)
        print(f"{script}: {n} of {len(lines)} lines and {m} of {len(pairs)} pairs differ")
        total, differences = total + len(lines), differences + n + m
    print(f"all: {differences} differ, {total} lines")
    return differences


def speed(both, directory, seconds, rounds=4):
    """Tokens per second of processor time, one thread, the two in turns on the same texts."""
    for script, lines in folders(directory):
        lines = lines[:4000]
        with tempfile.NamedTemporaryFile() as f:
            for line in lines:
                f.write(json.dumps({"text": line}).encode() + b"\n")
            f.flush()
            ours, theirs = [], []
            for _ in range(rounds):
                with open(f.name, "rb") as stdin:
                    out = subprocess.run([both.cut, both.path, str(seconds)], stdin=stdin, stdout=subprocess.PIPE, check=True,
                                         env=os.environ | {"GOMAXPROCS": "1"})
                tokens, used, load = out.stdout.split()
                ours.append(int(tokens) / float(used))
                for line in lines:
                    both.tokenizer.encode(line, add_special_tokens=False)
                tokens, start, used = 0, time.process_time(), 0
                while used < seconds:
                    for line in lines:
                        tokens += len(both.tokenizer.encode(line, add_special_tokens=False))
                    used = time.process_time() - start
                theirs.append(tokens / used)
        ratios = sorted(a / b for a, b in zip(ours, theirs))
        print(f"{script}: {max(ours):,.0f} against {max(theirs):,.0f} tokens/s; ratio {ratios[len(ratios) // 2]:.1f} "
              f"({ratios[0]:.1f} to {ratios[-1]:.1f}); load {float(load):.1f} ms")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("what", choices=["codepoints", "fuzz", "text", "speed"])
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--lines", type=int, default=0, help="about how many lines of each script to compare; all by default")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as build:
        cut = os.path.join(build, "cut")
        subprocess.run(["go", "build", "-o", cut, "./cut"], cwd=HERE, check=True)
        both = Both(args.tokenizer, cut)
        if args.what == "codepoints":
            return all_code_points(both) > 0
        if args.what == "fuzz":
            return fuzz(both, args.seconds, args.seed) > 0
        if args.what == "speed":
            return speed(both, args.directory, min(args.seconds, 2))
        return text(both, args.directory, args.lines) > 0


if __name__ == "__main__":
    sys.exit(main())
