"""Run int8 graphs as another processor would, and see what that changes.

    python processors.py --bundle BUNDLE --cpu Haswell GRAPH.onnx ...

Processors with AVX2 and without VNNI add two 8-bit products in 16 bits, which
overflow if the weights use all 8 bits. QEMU's user mode (Debian: qemu-user)
executes their instructions on any machine, slowly; so the same windows go through
every graph on this processor and on the emulated one, and the logits and
answers are compared with the fp32 graph's on this one. CPU models without
AVX-512: Haswell, Skylake-Client, EPYC.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

# Runs under the emulator, so it imports as little as it can.
CHILD = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
names = [i.name for i in session.get_inputs()]
windows = numpy.load(sys.argv[2])
numpy.savez(sys.argv[3], **{
    k: session.run(["last_hidden_state"], {n: windows[f"{k}/{n}"] for n in names})[0][0]
    for k in sorted({name.split("/")[0] for name in windows.files})})
"""


def states(graph, windows, cpu, scratch):
    """Return the hidden states of every window, by its number."""
    out = scratch / "states.npz"
    emulator = ["qemu-x86_64", "-cpu", cpu] if cpu else []
    subprocess.run([*emulator, sys.executable, "-c", CHILD, str(graph), str(windows), str(out)], check=True)
    loaded = numpy.load(out)
    return [loaded[str(i)] for i in range(len(loaded.files))]


def main():
    import spans
    import squad
    from safetensors.numpy import load_file
    from transformers import PreTrainedTokenizerFast

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="+")
    parser.add_argument("--bundle", required=True, help="bundle with the tokenizer and the span head")
    parser.add_argument("--reference", required=True, help="fp32 graph")
    parser.add_argument("--cpu", default="Haswell", help="CPU model of QEMU")
    parser.add_argument("--questions", type=int, default=20)
    args = parser.parse_args()
    bundle = Path(args.bundle)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(bundle / "tokenizer.json"))
    head = load_file(bundle / "span.safetensors")
    answered = [p for p in squad.read(squad.shared() / "data" / "squad2" / "dev-half.json") if p.answers]
    pairs = squad.spread(answered, args.questions)
    cut = [spans.windows(tokenizer, p.question, p.passage)[:1] for p in pairs]
    names = ("input_ids", "attention_mask", "token_type_ids")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        windows = scratch / "windows.npz"
        numpy.savez(windows, **{f"{i}/{n}": v for i, its in enumerate(cut) for n, v in its[0].inputs(names).items()})

        def read(graph, cpu):
            logits = [s @ head["weight"].T + head["bias"] for s in states(graph, windows, cpu, scratch)]
            texts = [spans.best(p.passage, its, [(both[:, 0], both[:, 1])]).text for p, its, both in zip(pairs, cut, logits)]
            return numpy.concatenate(logits), texts

        true, texts = read(args.reference, None)
        for graph in args.graphs:
            row = {"graph": Path(graph).name, "questions": len(pairs)}
            for name, cpu in (("here", None), (args.cpu, args.cpu)):
                logits, its = read(graph, cpu)
                row[name] = {
                    "rmse": round(float(numpy.sqrt(((logits - true) ** 2).mean())), 3),
                    "same_answers": sum(a == b for a, b in zip(its, texts)),
                }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
