"""Write a Needle bundle with both heads from a checkpoint that train.py made.

    python export_reader.py RUN/checkpoint OUT --precisions int8

Takes the options of export.py.
"""

import json
import logging
import sys
from pathlib import Path

import numpy
from safetensors.numpy import load_file, save_file

import export

RELEVANCE_FILE = "relevance.safetensors"


def add_relevance(checkpoint, bundle):
    """Add the relevance head of a checkpoint to a bundle: weight [1, width] and bias [1], applied to [CLS]."""
    tensors = load_file(Path(checkpoint) / RELEVANCE_FILE)
    manifest = json.loads((bundle / export.MANIFEST).read_text(encoding="utf-8"))
    shape = tuple(tensors["weight"].shape)
    if shape != (1, manifest["hidden_size"]):
        raise ValueError(f"the relevance head has shape {shape}, want (1, {manifest['hidden_size']})")
    save_file({name: value.astype(numpy.float32) for name, value in tensors.items()}, bundle / RELEVANCE_FILE)
    manifest["heads"] = [head for head in manifest["heads"] if head["kind"] != "relevance"]
    manifest["heads"].append({"kind": "relevance", "file": RELEVANCE_FILE, "options": {"pooling": "cls"}})
    export.write_manifest(bundle, manifest)


def main(arguments=None):
    args = export.parse(arguments)
    if args.fused:
        raise SystemExit("a fused graph holds one head; export_reader.py writes two")
    logging.disable(logging.WARNING)  # the quantiser logs advice for each node
    bundle = export.export(args)
    add_relevance(args.checkpoint, bundle)
    for path in sorted(bundle.iterdir()):
        print(f"{path.stat().st_size:>12,}  {path.name}")


if __name__ == "__main__":
    sys.exit(main())
