"""Draws the results of the retrieval benchmark: plot.py RESULTS.json PICTURE.svg"""

import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

NAMES = {"needle": "Needle", "lucene": "Lucene", "elastic": "Elasticsearch", "tantivy": "tantivy", "bm25s": "bm25s"}


def middle(values):
    return sorted(values)[len(values) // 2]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = [r for r in json.load(file) if r["p50_ms"]]
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex=True, sharey="row")
    for column, (mode, title) in enumerate([("stop", "stop words removed"), ("keep", "stop words kept")]):
        for row, key in enumerate(["p50_ms", "p99_ms"]):
            axis = axes[row][column]
            for system, name in NAMES.items():
                # A later run of the same system and passages takes the place of the one before.
                points = sorted({r["passages"]: r[key] for r in results if r["system"] == system and r["mode"] == mode}.items())
                if not points:
                    continue
                x = [n for n, _ in points]
                y = [middle(v) for _, v in points]
                low = [m - min(v) for m, (_, v) in zip(y, points)]
                high = [max(v) - m for m, (_, v) in zip(y, points)]
                axis.errorbar(x, y, yerr=[low, high], marker="o", capsize=3, label=name, linewidth=2.5 if system == "needle" else 1.2)
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.grid(True, which="both", alpha=0.3)
            axis.set_title(f"{'median' if key == 'p50_ms' else '99th percentile'}, {title}")
            axis.set_ylabel("ms a question, top 200")
            axis.set_xlabel("passages")
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


main()
