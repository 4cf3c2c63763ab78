"""What giving the arena back after every run would do: memory and time in Python ONNX Runtime.

    python shrink.py GRAPH.onnx [--requests 10000]

The Go wrapper of ONNX Runtime cannot set options of a run, so this is measured where it can be. Requests have
the lengths of main.go, one at a time, with and without memory.enable_memory_arena_shrinkage, each in a process of its own.
"""

import argparse
import json
import random
import subprocess
import sys
import time


def resident():
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in f if line.startswith("VmRSS"))


def measure(graph, requests, shrink):
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    run = ort.RunOptions()
    if shrink:
        run.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    rng = random.Random(1)
    output, halves, begin = [session.get_outputs()[0].name], [0.0, 0.0], time.process_time()
    for i in range(requests):
        n = 2 + rng.randrange(31) if rng.randrange(100) else 2 + rng.randrange(383)
        ids = np.full((1, n), 1000, np.int64)
        session.run(output, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}, run)
        if i % 100 == 99:
            half = i * 2 // requests
            halves[half] = max(halves[half], resident())
    took = time.process_time() - begin
    print(json.dumps({"shrink": shrink, "requests": requests, "first_half_mb": halves[0], "second_half_mb": halves[1], "cpu_ms_per_request": 1e3 * took / requests}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("graph")
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shrink", type=int, choices=[0, 1], help="measure this in the present process")
    args = parser.parse_args()
    if args.shrink is not None:
        measure(args.graph, args.requests, bool(args.shrink))
        return
    for _ in range(args.rounds):
        for shrink in "01":
            subprocess.run([sys.executable, __file__, args.graph, "--requests", str(args.requests), "--shrink", shrink], check=True)


if __name__ == "__main__":
    main()
