"""Write a Needle bundle from a Hugging Face question-answering checkpoint.

    python export.py CHECKPOINT OUT --precisions fp32 int8

The bundle is *split*: an ONNX graph of the encoder (tokens -> hidden states)
and the span head's weights beside it. With --fused the graph holds the head as
well and gives start_logits and end_logits, as Hugging Face exports do.

The same checkpoint and the same package versions give the same bytes.
"""

import argparse
import hashlib
import json
import logging
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy
import onnx
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

import graphs
import smoothing

MANIFEST = "needle.json"
MANIFEST_VERSION = 1
SPAN_FILE = "span.safetensors"
TOKENIZER_FILE = "tokenizer.json"
PRECISIONS = ("fp32", "int8")


class Encoder(torch.nn.Module):
    """The language model alone: token ids in, hidden states out."""

    outputs = ("last_hidden_state",)

    def __init__(self, model, inputs):
        super().__init__()
        self.model = model.base_model
        self.inputs = inputs

    def forward(self, *tensors):
        return self.model(**dict(zip(self.inputs, tensors))).last_hidden_state


class Fused(torch.nn.Module):
    """The language model with its span head: token ids in, logits out."""

    outputs = ("start_logits", "end_logits")

    def __init__(self, model, inputs):
        super().__init__()
        self.model = model
        self.inputs = inputs

    def forward(self, *tensors):
        result = self.model(**dict(zip(self.inputs, tensors)))
        return result.start_logits, result.end_logits


def load_checkpoint(directory):
    """Return the model in float32 and the names of its inputs."""
    # Eager attention is the one that exports to plain operators.
    model = AutoModelForQuestionAnswering.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
    inputs = list(AutoTokenizer.from_pretrained(directory).model_input_names)
    order = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in inputs]
    return model.eval(), order


def export_graph(module, path):
    """Trace a module into an ONNX graph with dynamic batch and length."""
    # Batch and length differ from each other and from 1, so that neither can
    # end up in the graph as a constant.
    example = torch.ones((2, 16), dtype=torch.int64)
    axes = {0: "batch", 1: "seq"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(example for _ in module.inputs),
            path,
            input_names=list(module.inputs),
            output_names=list(module.outputs),
            dynamic_axes={name: axes for name in (*module.inputs, *module.outputs)},
            opset_version=17,
            dynamo=False,
        )


def write_span_head(model, path):
    """Write the span head: weight [2, width] and bias [2], row 0 for the start, row 1 for the end."""
    head = model.qa_outputs
    width = model.config.hidden_size
    if tuple(head.weight.shape) != (2, width):
        raise ValueError(f"the span head has shape {tuple(head.weight.shape)}, want (2, {width})")
    tensors = {
        "weight": head.weight.detach().numpy().astype(numpy.float32),
        "bias": head.bias.detach().numpy().astype(numpy.float32),
    }
    save_file(tensors, path)


def write_texts(out, args, source):
    text = LICENSE_TEXT.format(license=args.license)
    if args.license_file:
        text += "\n" + Path(args.license_file).read_text(encoding="utf-8").lstrip("\n")
    (out / "LICENSE").write_text(text, encoding="utf-8")
    (out / "NOTICE").write_text(NOTICE_TEXT.format(name=args.name, base=args.base, data=args.data, source=source), encoding="utf-8")


LICENSE_TEXT = """The weights in this directory are licensed under {license}.
"""

NOTICE_TEXT = """{name}

This directory holds neural network weights in ONNX and safetensors form.

Base weights:   {base}
Training data:  {data}
Checkpoint:     {source}

Changes to the base weights: fine-tuned with a span head for extractive
question answering, exported to ONNX, and (files named int8) quantised.
"""


def file_entry(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"sha256": digest.hexdigest(), "bytes": path.stat().st_size}


def write_manifest(out, manifest):
    names = sorted(path.name for path in out.iterdir() if path.name != MANIFEST)
    manifest["files"] = {name: file_entry(out / name) for name in names}
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (out / MANIFEST).write_text(text, encoding="utf-8")


def checkpoint_name(directory):
    """Name the exact weights: the directory and a short digest over its weight files."""
    digest = hashlib.sha256()
    for path in sorted(Path(directory).glob("*.safetensors")):
        digest.update(file_entry(path)["sha256"].encode())
    return f"{Path(directory).resolve().name} ({digest.hexdigest()[:16]})"


def export(args):
    source = Path(args.checkpoint)
    out = Path(args.out)
    if not (source / "config.json").is_file():
        raise FileNotFoundError(f"{source} is no checkpoint: config.json is missing")
    if not (source / TOKENIZER_FILE).is_file():
        raise FileNotFoundError(f"{source} has no {TOKENIZER_FILE}; slow tokenizers are not supported")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise FileExistsError(f"{out} is not empty and is no bundle; choose another directory")
    torch.manual_seed(0)
    model, inputs = load_checkpoint(source)
    module = Fused(model, inputs) if args.fused else Encoder(model, inputs)

    # Everything is made beside the target and moved there at the end, so that
    # a failure leaves the old bundle whole.
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
        scratch = Path(scratch)
        new = scratch / "bundle"
        new.mkdir()
        plain = scratch / "plain.onnx"
        export_graph(module.eval(), plain)
        samples = list(smoothing.windows(source, inputs, args.sample)) if args.sample else None
        files = graphs.write(plain, new, model.config, args.precisions, samples)
        heads = [{"kind": "span"}]
        if not args.fused:
            write_span_head(model, new / SPAN_FILE)
            heads = [{"kind": "span", "file": SPAN_FILE}]
        shutil.copyfile(source / TOKENIZER_FILE, new / TOKENIZER_FILE)
        described = checkpoint_name(source)
        write_texts(new, args, described)
        write_manifest(new, {
            "version": MANIFEST_VERSION,
            "name": args.name,
            "languages": args.languages,
            "license": args.license,
            "architecture": model.config.model_type,
            "hidden_size": model.config.hidden_size,
            "max_length": args.max_length or model.config.max_position_embeddings,
            "tokenizer": TOKENIZER_FILE,
            "graphs": files,
            "inputs": inputs,
            "outputs": list(module.outputs),
            "heads": heads,
            "origin": {"checkpoint": described, "base_model": args.base, "training_data": args.data},
        })
        if out.exists():
            shutil.rmtree(out)
        new.rename(out)
    return out


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="directory in the Hugging Face layout")
    parser.add_argument("out", help="directory of the bundle; an older bundle there is replaced")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--sample", nargs="+", metavar="FILE", help="SQuAD files of real questions: int8 loses less where it can see some")
    parser.add_argument("--fused", action="store_true", help="keep the head in the graph")
    parser.add_argument("--name", default="minilm-span")
    parser.add_argument("--languages", nargs="+", default=["en"])
    parser.add_argument("--license", default="Apache-2.0", help="licence of the weights")
    parser.add_argument("--license-file", help="full text of that licence, to travel with the weights")
    parser.add_argument("--base", default="sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)")
    parser.add_argument("--data", default="SQuADShifts (CC BY 4.0; Miller, Krauth, Recht, Schmidt 2020)")
    parser.add_argument("--max-length", type=int, default=0, help="tokens of one sequence (default: the model's positions)")
    return parser.parse_args(arguments)


def main(arguments=None):
    logging.disable(logging.WARNING)  # the quantiser logs advice for each node
    out = export(parse(arguments))
    total = 0
    for path in sorted(out.iterdir()):
        total += path.stat().st_size
        print(f"{path.stat().st_size:>12,}  {path.name}")
    print(f"{total:>12,}  total")
    for path in out.glob("*.onnx"):
        onnx.checker.check_model(str(path))


if __name__ == "__main__":
    sys.exit(main())
