"""Write the graphs that the choice of the int8 variant was made from.

    python variants.py CHECKPOINT DIRECTORY
    python quality.py --head DIRECTORY/span.safetensors DIRECTORY/*.onnx

The table that comes out is in README.md.
"""

import argparse
import logging
import tempfile
from pathlib import Path

import export
import graphs
import smoothing
import squad

# Arguments of graphs.quantise by name; each differs from "int8-plain" in one point.
QUANTISED = {
    "int8-plain": {},
    "int8-full-range": {"reduce_range": False},
    "int8-per-tensor": {"per_channel": False},
    "int8-float-embeddings": {"only": ["MatMul", "Attention"]},
    "int8-float-attention": {"only": ["MatMul", "EmbedLayerNormalization"]},
}


def main():
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("directory")
    parser.add_argument("--calibration", type=int, default=64, help="windows that the ranges of the static variant and the outliers of int8 come from")
    args = parser.parse_args()
    out = Path(args.directory)
    out.mkdir(parents=True, exist_ok=True)
    model, inputs = export.load_checkpoint(args.checkpoint)
    # Never of the yardstick, which quality.py measures on.
    files = [squad.shared() / "data" / "squadshifts" / f"{name}.json" for name in ("new_wiki", "amazon_reviews", "reddit")]
    samples = list(smoothing.windows(args.checkpoint, inputs, files, args.calibration))
    export.write_span_head(model, out / "span.safetensors")
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        plain = Path(scratch) / "plain.onnx"
        export.export_graph(export.Encoder(model, inputs).eval(), plain)
        graphs.save(graphs.onnx.load(plain), out / "fp32-unfused.onnx")
        graphs.quantise(plain, out / "int8-unfused.onnx")
        graphs.fuse(plain, out / "fp32.onnx", model.config)
        graphs.quantise_static(plain, out / "int8-static.onnx", samples)
    for name, settings in {"int8": {"samples": samples}, **QUANTISED}.items():
        graphs.quantise(out / "fp32.onnx", out / f"{name}.onnx", **settings)


if __name__ == "__main__":
    main()
