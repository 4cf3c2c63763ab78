"""Draw the reliability diagram of a kept evaluation.

    needle eval show RUN --json > run.json
    python reliability.py run.json OUT.png

Needs matplotlib, which comes with MLflow.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record")
    parser.add_argument("out")
    args = parser.parse_args(arguments)
    record = json.loads(Path(args.record).read_text(encoding="utf-8"))
    bins = record["reliability"]
    total = sum(b["count"] for b in bins)
    figure, (diagram, mass) = pyplot.subplots(2, 1, figsize=(5, 6.4), height_ratios=(4, 1), layout="constrained", sharex=True)
    diagram.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="as stated")
    diagram.plot([b["probability"] for b in bins], [b["accuracy"] for b in bins], marker="o", color="#2563eb", label="measured")
    diagram.set(ylabel="share that was right", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    report = record["report"]
    diagram.set_title(f"{report['dataset']}, {report['stage']}, {report['n']} questions\nexpected calibration error {report['metrics']['ece']:.3f}", fontsize=10)
    diagram.legend()
    for b in bins:
        mass.plot([b["lower"], b["upper"]], [b["count"] / total] * 2, color="#2563eb", linewidth=3)
    mass.set(xlabel="stated probability", ylabel="share of\nanswers", ylim=(0, None))
    figure.savefig(args.out, dpi=130)
    return 0


if __name__ == "__main__":
    sys.exit(main())
