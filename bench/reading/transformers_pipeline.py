"""transformers' question-answering pipeline as a system of the reading benchmark.

    python transformers_pipeline.py [--threads 2] CHECKPOINT INPUT.json

Defaults but for one thing: an answer is always given, as by the other systems.
Windows of 384 with a stride of 128, one at a time, fp32. The pipeline reads one
passage after the other and compares them by its own score, a product of
softmax probabilities within each passage.
"""

import argparse
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402  (the environment must be set first)
from transformers import pipeline  # noqa: E402

import peer  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("input")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    question, passages = peer.load(args.input)
    answering = pipeline("question-answering", model=args.checkpoint, device="cpu", dtype=torch.float32)

    def read():
        found = answering(question=[question] * len(passages), context=passages)
        best = max(range(len(found)), key=lambda i: (found[i]["score"], -i))
        return {"answer": found[best]["answer"], "passage": best, "score": round(found[best]["score"], 4), "spans": [f["answer"] for f in found]}

    peer.run("transformers", "fp32", args.repeat, read)


if __name__ == "__main__":
    main()
