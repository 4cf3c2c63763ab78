"""Measure graphs: answer quality, CPU time, start-up time and memory.

    python quality.py --head BUNDLE/span.safetensors GRAPH.onnx ...

Every graph is measured in a process of its own. Questions are the answered ones
of squad2/dev-half.json at even distances, the gold paragraph is given, the best
span is forced. The graph runs one unpadded window at a time on one thread.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy
import onnxruntime
from safetensors.numpy import load_file
from transformers import AutoTokenizer
from transformers.data.metrics.squad_metrics import compute_exact, compute_f1

import spans
import squad

LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "off": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


def session(graph, level="all"):
    """Open a graph on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = LEVELS[level]
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class Reader:
    """A graph with its span head: windows in, (start, end) logits out."""

    def __init__(self, graph, head, level="all"):
        self.session = session(graph, level)
        self.inputs = [i.name for i in self.session.get_inputs()]
        self.outputs = [o.name for o in self.session.get_outputs()]
        self.fused = "start_logits" in self.outputs
        if not self.fused:
            weights = load_file(head)
            self.weight, self.bias = weights["weight"], weights["bias"]

    def logits(self, window):
        outputs = self.session.run(None, window.inputs(self.inputs))
        if self.fused:
            return outputs[self.outputs.index("start_logits")][0], outputs[self.outputs.index("end_logits")][0]
        hidden = outputs[self.outputs.index("last_hidden_state")][0]
        result = hidden @ self.weight.T + self.bias
        return result[:, 0], result[:, 1]


def score(answers, predicted):
    """Return exact match and F1 against the best of the gold answers."""
    return (
        max(compute_exact(gold, predicted) for gold in answers),
        max(compute_f1(gold, predicted) for gold in answers),
    )


def error(reader, reference, cut):
    """Return the root mean square difference of the logits of two graphs."""
    squares = [
        (a - b) ** 2
        for its in cut
        for window in its
        for a, b in zip(reader.logits(window), reference.logits(window))
    ]
    return float(numpy.sqrt(numpy.concatenate(squares).mean()))


def measure(graph, head, tokenizer, questions, level, reference):
    data = Path(graph).read_bytes()
    begin, cpu = time.perf_counter(), time.process_time()
    reader = Reader(data, head, level)
    open_ms = (time.perf_counter() - begin) * 1e3
    open_cpu = (time.process_time() - cpu) * 1e3
    del data
    answered = [pair for pair in squad.read(squad.shared() / "data" / "squad2" / "dev-half.json") if pair.answers]
    pairs = squad.spread(answered, questions)
    cut = [spans.windows(tokenizer, p.question, p.passage) for p in pairs]
    for window in cut[0]:
        reader.logits(window)
    seconds, exact, f1, count, tokens = 0.0, 0, 0.0, 0, 0
    for pair, its in zip(pairs, cut):
        begin = time.process_time()
        logits = [reader.logits(window) for window in its]
        seconds += time.process_time() - begin
        count += len(its)
        tokens += sum(len(w.ids) for w in its)
        span = spans.best(pair.passage, its, logits)
        e, f = score(pair.answers, span.text)
        exact += e
        f1 += f
    result = {
        "graph": Path(graph).name,
        "level": level,
        "megabytes": round(Path(graph).stat().st_size / 1e6, 1),
        "f1": round(100 * f1 / len(pairs), 2),
        "em": round(100 * exact / len(pairs), 2),
        "n": len(pairs),
        "cpu_ms": round(1e3 * seconds / count, 2),
        "tokens": round(tokens / count, 1),
        "open_ms": round(open_ms, 1),
        "open_cpu_ms": round(open_cpu, 1),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if reference:
        result["rmse"] = round(error(reader, Reader(reference, head), cut), 3)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="+")
    parser.add_argument("--head", required=True, help="safetensors file of the span head")
    parser.add_argument("--tokenizer", help="directory with the tokenizer (default: the shared checkpoint)")
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--level", choices=LEVELS, default="all", help="graph optimisation when the graph is opened")
    parser.add_argument("--reference", help="graph to compare the logits with (fp32)")
    args = parser.parse_args()
    if len(args.graphs) > 1:
        options = ["--head", args.head, "--questions", str(args.questions), "--level", args.level]
        options += ["--tokenizer", args.tokenizer] if args.tokenizer else []
        options += ["--reference", args.reference] if args.reference else []
        for graph in args.graphs:
            subprocess.run([sys.executable, __file__, graph, *options], check=True)
        return
    directory = args.tokenizer or squad.shared() / "models" / "minilm-span"
    tokenizer = AutoTokenizer.from_pretrained(directory)
    print(json.dumps(measure(args.graphs[0], args.head, tokenizer, args.questions, args.level, args.reference)), flush=True)


if __name__ == "__main__":
    main()
