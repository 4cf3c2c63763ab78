"""Python onnxruntime as the peer of the inference benchmark; see main.go.

    python peer.py GRAPH.onnx ENCODINGS.json

Every line of standard input is {"mode": M, "count": N}: run the first N encodings and answer with
{"wall_ms", "cpu_ms", "checksum"}. Modes:

singles  every encoding alone and unpadded, one thread inside, two at a time: the fastest way known on a CPU
batches  padded batches of 16 in the order given, two threads inside, everything else at its default: the usual way
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort

BATCH, WORKERS = 16, 2


def session(path, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feed(rows):
    length = max(len(ids) for ids, _ in rows)
    ids, mask, types = (np.zeros((len(rows), length), np.int64) for _ in range(3))
    for i, (its, kinds) in enumerate(rows):
        ids[i, : len(its)], types[i, : len(its)], mask[i, : len(its)] = its, kinds, 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def main():
    encodings = [(np.array(e["ids"]), np.array(e["types"])) for e in json.load(open(sys.argv[2], encoding="utf-8"))]
    single, batch = session(sys.argv[1], 1), session(sys.argv[1], WORKERS)
    pool = ThreadPoolExecutor(WORKERS)
    output = [single.get_outputs()[0].name]

    def alone(encoding):
        return float(single.run(output, feed([encoding]))[0][0, 0, 0])

    def together(rows):
        return [float(row[0, 0]) for row in batch.run(output, feed(rows))[0]]

    print(json.dumps({"version": ort.__version__}), flush=True)
    for line in sys.stdin:
        r = json.loads(line)
        chosen = encodings[: r["count"]]
        wall, cpu = time.perf_counter(), time.process_time()
        if r["mode"] == "singles":
            first = list(pool.map(alone, chosen))
        else:
            first = [v for i in range(0, len(chosen), BATCH) for v in together(chosen[i : i + BATCH])]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"wall_ms": 1e3 * wall, "cpu_ms": 1e3 * cpu, "checksum": float(np.abs(first).sum())}), flush=True)


if __name__ == "__main__":
    main()
