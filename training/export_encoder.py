"""Write a Needle bundle with an embedding head from a sentence encoder in the Hugging Face layout.

    python export_encoder.py CHECKPOINT OUT --precisions int8 --name minilm-embedding

The weights are not changed but for the export and the quantisation: hidden
states, averaged over all tokens and scaled to length 1, as sentence-transformers
does. --tokenizer names the tokenizer.json of another bundle that is to be shared:
it must be equal but for truncation and padding, which Needle ignores.

The same checkpoint and the same package versions give the same bytes.
"""

import argparse
import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModel

import export
import graphs

LENGTH_FILE = "sentence_bert_config.json"
IGNORED = ("truncation", "padding")

NOTICE_TEXT = """{name}

This directory holds neural network weights in ONNX form.

Base weights:   {base}
Checkpoint:     {source}

Changes to the base weights: none but the export to ONNX and (files named int8)
the quantisation. Nothing was trained.
"""


def max_length(checkpoint, config):
    """Return how many tokens the encoder was trained to read."""
    path = Path(checkpoint) / LENGTH_FILE
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))["max_seq_length"]
    return config.max_position_embeddings


def check_tokenizer(own, shared):
    """Refuse a tokenizer that gives other ids than the checkpoint's own."""
    a, b = (json.loads(Path(path).read_text(encoding="utf-8")) for path in (own, shared))
    different = sorted(key for key in {*a, *b} if key not in IGNORED and a.get(key) != b.get(key))
    if different:
        raise ValueError(f"{shared} is another tokenizer than {own}: {', '.join(different)} differ")


def write(args):
    source, out = Path(args.checkpoint), Path(args.out)
    if out.exists() and any(out.iterdir()) and not (out / export.MANIFEST).is_file():
        raise FileExistsError(f"{out} is not empty and is no bundle; choose another directory")
    own = source / export.TOKENIZER_FILE
    tokenizer = Path(args.tokenizer or own)
    check_tokenizer(own, tokenizer)
    torch.manual_seed(0)
    model = AutoModel.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
        scratch = Path(scratch)
        new = scratch / "bundle"
        new.mkdir()
        plain = scratch / "plain.onnx"
        export.export_graph(export.Encoder(model, inputs).eval(), plain)
        files = graphs.write(plain, new, model.config, args.precisions)
        shutil.copyfile(tokenizer, new / export.TOKENIZER_FILE)
        described = export.checkpoint_name(source)
        text = export.LICENSE_TEXT.format(license=args.license)
        if args.license_file:
            text += "\n" + Path(args.license_file).read_text(encoding="utf-8").lstrip("\n")
        (new / "LICENSE").write_text(text, encoding="utf-8")
        (new / "NOTICE").write_text(NOTICE_TEXT.format(name=args.name, base=args.base, source=described), encoding="utf-8")
        export.write_manifest(new, {
            "version": export.MANIFEST_VERSION,
            "name": args.name,
            "languages": args.languages,
            "license": args.license,
            "architecture": model.config.model_type,
            "hidden_size": model.config.hidden_size,
            "max_length": max_length(source, model.config),
            "tokenizer": export.TOKENIZER_FILE,
            "graphs": files,
            "inputs": inputs,
            "outputs": ["last_hidden_state"],
            "heads": [{"kind": "embedding", "options": {"pooling": "mean"}}],
            "origin": {"checkpoint": described, "base_model": args.base},
        })
        if args.share_tokenizer:
            # Listed with its checksum, kept in the other bundle only.
            (new / export.TOKENIZER_FILE).unlink()
        if out.exists():
            shutil.rmtree(out)
        new.rename(out)
    return out


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="directory in the Hugging Face layout")
    parser.add_argument("out", help="directory of the bundle; an older bundle there is replaced")
    parser.add_argument("--precisions", nargs="+", choices=export.PRECISIONS, default=list(export.PRECISIONS))
    parser.add_argument("--name", default="minilm-embedding")
    parser.add_argument("--languages", nargs="+", default=["en"])
    parser.add_argument("--license", default="Apache-2.0", help="licence of the weights")
    parser.add_argument("--license-file", help="full text of that licence, to travel with the weights")
    parser.add_argument("--base", default="sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)")
    parser.add_argument("--tokenizer", help="tokenizer.json to use instead of the checkpoint's own")
    parser.add_argument("--share-tokenizer", action="store_true", help="leave tokenizer.json out: the program takes it from the bundle that --tokenizer lies in")
    args = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # the quantiser logs advice for each node
    for path in sorted(write(args).iterdir()):
        print(f"{path.stat().st_size:>12,}  {path.name}")


if __name__ == "__main__":
    sys.exit(main())
