"""The protocol that every system of the reading benchmark speaks.

A system is started with --repeat N and, as its last argument, the path of the
input. It opens its model and reads all passages N times, from text to answer.
After each repetition it prints one line of JSON:

    {"system": "needle", "precision": "int8", "wall_ms": 0, "cpu_ms": 0, "rss_mb": 0, "answer": ""}

cpu_ms is the user and system time of all threads of the process in that
repetition, rss_mb the peak of its resident memory so far. Systems may add
fields. Opening the model is no part of a repetition.
"""

import json
import resource
import time
from pathlib import Path


def load(path):
    """Return the question and the passages of an input file."""
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    return content["question"], content["passages"]


def run(system, precision, repeat, read):
    """Speak the protocol. read() returns the fields that the system adds, with the answer among them."""
    for _ in range(repeat):
        cpu, wall = time.process_time(), time.perf_counter()
        fields = read()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        line = {
            "system": system,
            "precision": precision,
            "wall_ms": round(1e3 * wall, 1),
            "cpu_ms": round(1e3 * cpu, 1),
            "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
            **fields,
        }
        print(json.dumps(line), flush=True)
