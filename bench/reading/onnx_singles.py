"""Python onnxruntime fed unpadded single windows, as a system of the reading benchmark.

    python onnx_singles.py [--precision int8] [--workers 2] BUNDLE INPUT.json

One session with one thread inside, used from as many threads as there are
workers: on a CPU the cheapest way known to run windows of different lengths.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import peer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))
import spans  # noqa: E402  (the path must be set first)
from quality import Reader  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("input")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    bundle = Path(args.bundle)
    manifest = json.loads((bundle / "needle.json").read_text(encoding="utf-8"))
    head = manifest["heads"][0].get("file")
    reader = Reader(str(bundle / manifest["graphs"][args.precision]), head and bundle / head)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(bundle / manifest["tokenizer"]))
    question, passages = peer.load(args.input)

    def run(window):
        begin = time.thread_time()
        logits = reader.logits(window)
        return logits, time.thread_time() - begin

    with ThreadPoolExecutor(args.workers) as pool:
        def read():
            cut = [spans.windows(tokenizer, question, passage) for passage in passages]
            flat = [window for its in cut for window in its]
            results = list(pool.map(run, flat))
            logits = iter(result[0] for result in results)
            found, texts = [], []
            for index, its in enumerate(cut):
                span = spans.best(passages[index], its, [next(logits) for _ in its])
                texts.append(span.text if span else "")
                if span is not None:
                    found.append((-float(span.score), index, span.text))
            score, index, text = min(found)
            return {
                "answer": text,
                "passage": index,
                "score": round(-score, 4),
                "spans": texts,
                "windows": len(flat),
                "tokens": sum(len(window.ids) for window in flat),
                # Without tokenising and decoding, which Python does slowly.
                "model_cpu_ms": round(1e3 * sum(result[1] for result in results), 1),
            }

        peer.run("onnxruntime", args.precision, args.repeat, read)


if __name__ == "__main__":
    main()
