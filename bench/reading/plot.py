"""Draws the results of the reading benchmark: plot.py RESULTS.jsonl PICTURE.svg"""

import json
import statistics
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt


def main():
    rows = {}
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in map(json.loads, file):
            rows.setdefault(line["name"], []).append(line)
    names = list(rows)
    figure, axes = plt.subplots(1, 3, figsize=(13, 0.45 * len(names) + 1.2), sharey=True)
    panels = [("wall_ms", "50 passages, ms (lowest, median, highest)"), ("cpu_ms", "CPU, ms"), ("rss_mb", "peak memory, MB")]
    for axis, (key, title) in zip(axes, panels):
        values = [[line[key] for line in rows[name]] for name in names]
        middle = [statistics.median(v) for v in values]
        error = [[m - min(v) for m, v in zip(middle, values)], [max(v) - m for m, v in zip(middle, values)]]
        colours = ["#2f6f9f" if name.startswith("needle") else "#9aa5b1" for name in names]
        axis.barh(names, middle, xerr=error, capsize=3, color=colours)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(True, axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


main()
