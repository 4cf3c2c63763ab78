"""Writes golden/codepoints.json: what each normalizer makes of every code point.

    pip install tokenizers==0.22.2 numpy
    python codepoints.py          takes some minutes

A vocabulary of single bytes shows all of a normalizer's output; its ids and
offsets for all code points are hashed.
"""

import hashlib
import json
import pathlib

import numpy
from tokenizers import Tokenizer, models, pre_tokenizers


OUT = pathlib.Path(__file__).resolve().parent / "golden"


def bert(**options):
    return {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False} | options


def specs():
    spm = json.loads((OUT / "xlm-roberta.json").read_text())["normalizer"]
    plain = {name: {"type": name} for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents")}
    return plain | {"clean": bert(clean_text=True), "chinese": bert(handle_chinese_chars=True), "accents": bert(strip_accents=True),
                    "precompiled": spm, "strip": {"type": "Strip", "strip_left": True, "strip_right": True}}


def texts():
    """64 code points a text, between letters and before and after a mark.

    Most planes hold no characters, so there all 64 stand together.
    """
    for block in range(0, 0x110000, 64):
        if 0xD800 <= block < 0xE000:
            continue
        if block < 0x32000 or 0xE0000 <= block < 0xE1000:
            yield "".join(f"x{chr(c)}y {chr(c)}\u0301{chr(c)} " for c in range(block, block + 64))
        else:
            yield "x" + "".join(map(chr, range(block, block + 64))) + "y"


def main():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    t = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base = json.loads(t.to_str())
    rows = []
    for name, spec in specs().items():
        base["normalizer"] = spec
        t = Tokenizer.from_str(json.dumps(base))
        digest = hashlib.sha256()
        for text in texts():
            e = t.encode(text, add_special_tokens=False)
            table = numpy.empty((len(e.ids), 3), dtype="<i4")
            table[:, 0] = e.ids
            table[:, 1:] = numpy.array(e.offsets, dtype="<i4").reshape(-1, 2)
            digest.update(table.tobytes())
        rows.append({"name": name, "normalizer": spec, "sha256": digest.hexdigest()})
        print(name, digest.hexdigest(), flush=True)
    base["normalizer"] = None
    (OUT / "codepoints.json").write_text(json.dumps({"tokenizer": base, "normalizers": rows}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
