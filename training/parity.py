"""Write, or check, the golden file that Needle's Go path is held against.

    python parity.py write CHECKPOINT testdata/parity.jsonl.gz
    python parity.py check testdata/parity.jsonl.gz BUNDLE

"write" runs the checkpoint with transformers in float32. "check" runs the fp32
graph of a bundle with ONNX Runtime and compares. The format is described in
README.md. The file holds references to questions in the shared data, no text.
"""

import argparse
import base64
import collections
import gzip
import io
import json
import sys
import zlib
from pathlib import Path

import numpy
import torch
import transformers
from transformers import AutoTokenizer

import export
import spans
import squad
from quality import Reader

FORMAT = 1
TOLERANCE = 1e-4
# Pairs with a passage of several windows, and pairs at even distances, by file.
LONG = 100
COUNTS = {
    "squad2/dev-half.json": 300,
    "squadshifts/amazon_reviews.json": 150,
    "squadshifts/new_wiki.json": 150,
    "squadshifts/reddit.json": 150,
    "policyqa/dev.json": 75,
    "policyqa/test.json": 75,
}
# Logits are kept as multiples of this, which is exact in float32 and makes the
# file a third smaller.
QUANTUM = 2.0**-17


def data():
    return squad.shared() / "data"


def choose(tokenizer):
    """Return 1,000 (file, pair) in file order: long passages first, then even distances."""
    chosen = []
    long = []
    rest = {}
    for file in COUNTS:
        pairs = list(squad.read(data() / file))
        count = collections.Counter(pair.id for pair in pairs)
        rest[file] = [pair for pair in pairs if count[pair.id] == 1]
        texts = sorted({pair.passage for pair in pairs})
        lengths = dict(zip(texts, map(len, tokenizer(texts, add_special_tokens=False, truncation=False)["input_ids"])))
        long += [(file, pair) for pair in rest[file] if lengths[pair.passage] > spans.MAX_LENGTH]
    chosen += squad.spread(long, LONG)
    taken = {(file, pair.id) for file, pair in chosen}
    for file, count in COUNTS.items():
        left = [(file, pair) for pair in rest[file] if (file, pair.id) not in taken]
        chosen += squad.spread(left, count)
    return chosen


def rounded(values):
    return (numpy.round(values.astype(numpy.float64) / QUANTUM) * QUANTUM).astype("<f4")


def pack(values):
    return base64.b64encode(values.tobytes()).decode("ascii")


def unpack(text):
    return numpy.frombuffer(base64.b64decode(text), dtype="<f4")


def checksum(window):
    """Return the CRC-32 (IEEE) of the token ids as little-endian int32."""
    return zlib.crc32(window.ids.astype("<i4").tobytes())


def torch_logits(model, names, window):
    with torch.inference_mode():
        tensors = {name: torch.from_numpy(value) for name, value in window.inputs(names).items()}
        result = model(**tensors)
    return result.start_logits[0].numpy(), result.end_logits[0].numpy()


def lead(cut, logits, best):
    """Return how far the best span is ahead of the best one with other offsets."""
    other = -numpy.inf
    for w, (start, end) in zip(cut, logits):
        start, end = start[w.first:w.last], end[w.first:w.last]
        scores = start[:, None] + end[None, :]
        length = numpy.arange(len(end))[None, :] - numpy.arange(len(start))[:, None]
        scores[(length < 0) | (length >= spans.MAX_ANSWER_TOKENS)] = -numpy.inf
        first = numpy.array([o[0] for o in w.offsets[w.first:w.last]])
        last = numpy.array([o[1] for o in w.offsets[w.first:w.last]])
        scores[(first[:, None] == best.start_offset) & (last[None, :] == best.end_offset)] = -numpy.inf
        other = max(other, float(scores.max()))
    return float(best.score) - other


def entry(file, pair, cut, logits):
    """Return the line of one pair. The answer is that of the rounded logits, which the file holds."""
    logits = [(rounded(start), rounded(end)) for start, end in logits]
    best = spans.best(pair.passage, cut, logits)
    start, end = logits[best.window]
    null = float(start[0] + end[0])
    return {
        "file": file,
        "id": pair.id,
        "windows": [
            {"tokens": len(w.ids), "first": w.first, "last": w.last, "ids_crc32": checksum(w), "start": pack(start), "end": pack(end)}
            for w, (start, end) in zip(cut, logits)
        ],
        "answer": {
            "window": best.window,
            "start_token": best.start,
            "end_token": best.end,
            "start": best.start_offset,
            "end": best.end_offset,
            "score": round(float(best.score), 5),
            "margin": round(float(best.score) - null, 5),
            "lead": round(lead(cut, logits, best), 5),
        },
    }


def write(checkpoint, path):
    torch.set_num_threads(1)  # the order of sums, and so the last bits, depend on it
    model, names = export.load_checkpoint(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    lines = []
    for file, pair in choose(tokenizer):
        cut = spans.windows(tokenizer, pair.question, pair.passage)
        lines.append(entry(file, pair, cut, [torch_logits(model, names, w) for w in cut]))
    header = {
        "format": FORMAT,
        "checkpoint": export.checkpoint_name(checkpoint),
        "max_length": spans.MAX_LENGTH,
        "stride": spans.STRIDE,
        "max_answer_tokens": spans.MAX_ANSWER_TOKENS,
        "pairs": len(lines),
        "windows": sum(len(line["windows"]) for line in lines),
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [header, *lines])
    buffer = io.BytesIO()
    # Neither name nor time, so that equal content is an equal file.
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as packed:
        packed.write(text.encode("ascii"))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(buffer.getvalue())
    return header


def read(path):
    """Return the header and the lines of a golden file."""
    with gzip.open(path, "rt", encoding="ascii") as file:
        header, *lines = map(json.loads, file)
    if header["format"] != FORMAT:
        raise ValueError(f"{path} has format {header['format']}, want {FORMAT}")
    if header["pairs"] != len(lines):
        raise ValueError(f"{path} has {len(lines)} pairs, its header says {header['pairs']}")
    return header, lines


def compare(line, pair, cut, logits, tolerance):
    """Return the greatest difference of logits, and the faults of one pair as texts."""
    where = f"{line['file']} {line['id']}"
    shape = [(w["tokens"], w["first"], w["last"], w["ids_crc32"]) for w in line["windows"]]
    got = [(len(w.ids), w.first, w.last, checksum(w)) for w in cut]
    if got != shape:
        return 0.0, [f"{where}: windows (tokens, first, last, checksum) are {got}, want {shape}"]
    worst = 0.0
    for window, (start, end) in zip(line["windows"], logits):
        worst = max(worst, abs(start - unpack(window["start"])).max(), abs(end - unpack(window["end"])).max())
    faults = []
    if worst > tolerance:
        faults.append(f"{where}: logits differ by {worst:.2g}, want at most {tolerance:.2g}")
    best, want = spans.best(pair.passage, cut, logits), line["answer"]
    # Below that lead the tolerated rounding may exchange the first two: each
    # score is a sum of two logits, and either span may move.
    decided = want["lead"] > 4 * tolerance
    if decided and (best.start_offset, best.end_offset) != (want["start"], want["end"]):
        faults.append(f"{where}: the answer is {best.start_offset}:{best.end_offset}, want {want['start']}:{want['end']}")
    return float(worst), faults


def check(path, bundle, tolerance):
    bundle = Path(bundle)
    manifest = json.loads((bundle / export.MANIFEST).read_text(encoding="utf-8"))
    reader = Reader(str(bundle / manifest["graphs"]["fp32"]), bundle / export.SPAN_FILE)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(bundle / manifest["tokenizer"]))
    header, lines = read(path)
    if header["checkpoint"] != manifest["origin"]["checkpoint"]:
        raise ValueError(f"the golden file is of {header['checkpoint']}, the bundle of {manifest['origin']['checkpoint']}")
    pairs = {file: {pair.id: pair for pair in squad.read(data() / file)} for file in COUNTS}
    worst, faults = 0.0, []
    for line in lines:
        pair = pairs[line["file"]][line["id"]]
        cut = spans.windows(tokenizer, pair.question, pair.passage, header["max_length"], header["stride"])
        difference, its = compare(line, pair, cut, [reader.logits(w) for w in cut], tolerance)
        worst = max(worst, difference)
        faults += its
    return header, worst, faults


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("checkpoint")
    writing.add_argument("golden")
    checking = commands.add_parser("check")
    checking.add_argument("golden")
    checking.add_argument("bundle", help="bundle with an fp32 graph")
    checking.add_argument("--tolerance", type=float, default=TOLERANCE)
    args = parser.parse_args(arguments)
    if args.command == "write":
        print(json.dumps(write(args.checkpoint, args.golden)))
        return 0
    header, worst, faults = check(args.golden, args.bundle, args.tolerance)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(json.dumps({"pairs": header["pairs"], "windows": header["windows"], "max_difference": worst, "faults": len(faults)}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
