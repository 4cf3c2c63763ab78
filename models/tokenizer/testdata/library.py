"""Answers what the tokenizers library makes of texts, a JSON value a line.

    python library.py DIRECTORY_OF_TOKENIZERS NAME=FILE...

A request is {"tokenizer": NAME, "text": T} or {"tokenizer": NAME, "question": Q, "passage": P, "max_length": N,
"stride": S}; the answer to a text is [id, start, end, id, ...], to a pair a list of windows [id, start, end, type id,
sequence, ...]. A question that leaves too little room for the stride gives null, because the library panics. The first
line that it writes is its version. It ends with its input.
"""

import json
import os
import pathlib
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers  # noqa: E402

import golden  # noqa: E402


def answer(tokenizer, r):
    if "text" in r:
        e = tokenizer.encode(r["text"], add_special_tokens=False)
        return [x for i, (a, b) in zip(e.ids, e.offsets) for x in (i, a, b)]
    question = tokenizer.encode(r["question"], add_special_tokens=False)
    if r["max_length"] - tokenizer.num_special_tokens_to_add(True) - len(question.ids) <= r["stride"]:
        return None
    windows = golden.windows(tokenizer, r["question"], r["passage"], r["max_length"], r["stride"])
    return [[x for row in window for x in row] for window in windows]


def main():
    files = {p.stem: p for p in pathlib.Path(sys.argv[1]).glob("*.json") if p.stem not in ("texts", "codepoints")}
    for pair in sys.argv[2:]:
        name, _, path = pair.partition("=")
        files[name] = pathlib.Path(path)
    opened = {}
    print(json.dumps({"version": tokenizers.__version__}), flush=True)
    for line in sys.stdin:
        r = json.loads(line)
        name = r["tokenizer"]
        if name not in opened:
            opened[name] = tokenizers.Tokenizer.from_file(str(files[name]))
            opened[name].no_truncation()
            opened[name].no_padding()
        print(json.dumps(answer(opened[name], r)), flush=True)


if __name__ == "__main__":
    main()
