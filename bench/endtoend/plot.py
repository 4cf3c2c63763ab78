"""Draws the results of the end-to-end benchmark: plot.py RESULTS.json PICTURE.svg"""

import json
import statistics
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

NAMES = {"haystack": "Haystack 2.31", "needle-fp32": "Needle,\nsame weights", "needle-own-int8": "Needle,\nas it comes"}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    rows = results["rows"]
    names = [n for n in NAMES if n in rows]
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.6))
    bars = [
        ("time of a question, ms (median, 5 % to 95 %)", None),
        ("CPU of a question, ms (mean)", [statistics.fmean(r["cpu_ms"] for r in rows[n]) for n in names]),
        ("peak memory, MB", [results["peaks"][n] for n in names]),
        ("F1, all questions", [statistics.fmean(r["f1"] for r in rows[n]) for n in names]),
    ]
    for axis, (title, values) in zip(axes, bars):
        labels = [NAMES[n] for n in names]
        colours = ["#9aa5b1"] + ["#2f6f9f"] * (len(names) - 1)
        if values is None:
            times = [sorted(r["total_ms"] for r in rows[n]) for n in names]
            middle = [statistics.median(t) for t in times]
            low = [m - t[int(0.05 * len(t))] for m, t in zip(middle, times)]
            high = [t[int(0.95 * len(t))] - m for m, t in zip(middle, times)]
            axis.bar(labels, middle, yerr=[low, high], capsize=4, color=colours)
        else:
            axis.bar(labels, values, color=colours)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(True, axis="y", alpha=0.3)
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


main()
