"""Haystack's ExtractiveReader as a system of the reading benchmark.

    python haystack_reader.py [--threads 2] CHECKPOINT INPUT.json

Everything that a user does not set is left at its default: windows of 384 with
a stride of 128, all of them in one padded batch, no-answer on.
"""

import argparse
import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402  (the environment must be set first)
from haystack import Document  # noqa: E402
from haystack.components.readers import ExtractiveReader  # noqa: E402
from haystack.utils import ComponentDevice  # noqa: E402

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
    documents = [Document(id=str(i), content=text) for i, text in enumerate(passages)]
    reader = ExtractiveReader(model=args.checkpoint, device=ComponentDevice.from_str("cpu"))
    reader.warm_up()
    dtype = next(reader.model.parameters()).dtype
    if dtype != torch.float32:
        raise SystemExit(f"the model was loaded as {dtype}, want float32")

    def read():
        answers = reader.run(query=question, documents=documents)["answers"]
        best = next((a for a in answers if a.data is not None), None)
        if best is None:
            return {"answer": "", "passage": -1}
        return {"answer": best.data, "passage": int(best.document.id), "score": round(best.score, 4)}

    peer.run("haystack", "fp32", args.repeat, read)


if __name__ == "__main__":
    main()
