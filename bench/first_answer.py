"""Time from process start to the first answer, and what the process took.

    python bench/first_answer.py ./needle [REPEAT]

Indexes examples/handbook in a temporary place and asks a question REPEAT times
(default 20), each in a fresh process with the default depths. The first run
warms the page cache and does not count. Prints wall time, CPU time and peak
memory as lowest / median / highest, and the size of the binary.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUESTION = "Who is the longest-serving employee?"
ANSWER = "Maureen Blackshaw"
HANDBOOK = Path(__file__).resolve().parent.parent / "examples" / "handbook"


def once(binary, data):
    """Return (wall s, CPU s, peak MB) of one question in a fresh process."""
    start = time.monotonic()
    child = subprocess.Popen([binary, "ask", QUESTION, "--data", data], stdout=subprocess.PIPE)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    if status != 0 or ANSWER not in out.decode():
        raise SystemExit(f"unexpected answer, status {status}:\n{out.decode()}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def spread(values, digits):
    return " / ".join(f"{f(values):.{digits}f}" for f in (min, statistics.median, max))


def main():
    binary = os.path.abspath(sys.argv[1])
    repeat = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as data:
        subprocess.run([binary, "index", "add", str(HANDBOOK), "--data", data], check=True, stdout=subprocess.DEVNULL)
        once(binary, data)
        runs = [once(binary, data) for _ in range(repeat)]
    walls, cpus, memory = zip(*runs)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {repeat} runs, lowest / median / highest")
    print(f"process start to first answer  {spread(walls, 3)} s")
    print(f"CPU                            {spread(cpus, 3)} s")
    print(f"peak memory                    {spread(memory, 0)} MB")
    print(f"binary                         {os.path.getsize(binary) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
