"""The protocol that every system of the reading benchmark speaks.

A system is started with the path of the input as its last argument. It opens
its model and reads the passages once without reporting. Then, for every line on
its standard input, it reads all passages again, from text to answer, and prints
one line of JSON:

    {"system": "needle", "precision": "int8", "wall_ms": 0, "cpu_ms": 0, "rss_mb": 0, "answer": ""}

cpu_ms is the user and system time of all threads of the process in that
repetition, rss_mb the peak of its resident memory so far. Systems may add
fields. At the end of its standard input it exits.
"""

import json
import resource
import sys
import time
from pathlib import Path


def load(path):
    """Return the question and the passages of an input file."""
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    return content["question"], content["passages"]


def serve(system, precision, read):
    """Speak the protocol. read() returns the fields that the system adds, with the answer among them."""
    read()
    for _ in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        fields = read()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        line = {
            "system": system,
            "precision": precision,
            "wall_ms": round(1e3 * wall, 1),
            "cpu_ms": round(1e3 * cpu, 1),
            "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            **fields,
        }
        print(json.dumps(line), flush=True)
