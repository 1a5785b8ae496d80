"""`python -m benchmarks.gate_plots`: draws docs/images from benchmarks/gate.json."""

from __future__ import annotations

import json
from bisect import bisect_right
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.gate_scenarios import SCENARIOS

RESULTS = Path(__file__).parent / "gate.json"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
_OURS, _NAIVE, _LIMIT = "#1f6feb", "#d9822b", "#b00020"
#: The scenario whose arrivals are drawn, and for how many seconds.
_DRAWN, _SECONDS = "20/6 s", 60.0


def main() -> None:
    """Draws all images that the results allow."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    IMAGES.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})
    use(results)
    arrivals(results)
    costs(results)


def use(results: dict[str, Any]) -> None:
    """Per scenario: the used share of the limit, and in the bars the calls over it."""
    names = [one.name for one in SCENARIOS if one.name in results["judged"] and one.name in results["naive"]]
    figure, axes = plt.subplots(figsize=(8.6, 3.6))
    for shift, row, colour, label in ((-0.2, "judged", _OURS, "marketfetch"), (0.2, "naive", _NAIVE, "limits + retry")):
        places = [number + shift for number in range(len(names))]
        axes.bar(places, [results[row][name]["use"] for name in names], 0.38, color=colour, label=label)
        for position, name in zip(places, names, strict=True):
            found = results[row][name]
            axes.text(position, 0.02, f"{found['over']}", ha="center", va="bottom", fontsize=9, color="white")
    axes.axhline(1.0, color=_LIMIT, linewidth=0.8, linestyle="--", label="an ideal caller without delay")
    if bound := results["judged"].get("50/s", {}).get("bound"):
        axes.hlines(bound, -0.45, 0.45, color="black", linewidth=1.2, label=f"asked for 50/s: {bound:.3f}")
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_ylabel("use of the limit")
    axes.set_title("Use of the limit; the number in a bar: calls over the limit, as the vendor counted")
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    _save(figure, "gate-use.png")


def arrivals(results: dict[str, Any]) -> None:
    """At each arrival: the calls in the vendor's window that ends there."""
    scenario = next(one for one in SCENARIOS if one.name == _DRAWN)
    figure, axes = plt.subplots(figsize=(8.6, 3.4))
    for row, colour, label in (("naive", _NAIVE, "limits + retry"), ("judged", _OURS, "marketfetch")):
        moments = [at for at in results[row][_DRAWN]["arrivals"] if at <= _SECONDS]
        counts = [n + 1 - bisect_right(moments, at - scenario.window_s) for n, at in enumerate(moments)]
        axes.plot(moments, counts, ".", markersize=4, color=colour, label=label)
    axes.axhline(scenario.count, color=_LIMIT, linewidth=0.8, linestyle="--", label=f"limit: {scenario.count}")
    axes.set_ylim(0)
    axes.set_xlabel("seconds since the first arrival at the vendor")
    axes.set_ylabel(f"calls in the last {scenario.window_s:.0f} s")
    axes.set_title(f"{_DRAWN}: what the vendor saw in its window, at each arrival")
    axes.legend(frameon=False, ncols=3, loc="lower right")
    _save(figure, "gate-arrivals.png")


def costs(results: dict[str, Any]) -> None:
    """The caller's cost of an admit, and a worker's memory by parked requests."""
    figure, (price, memory) = plt.subplots(1, 2, figsize=(8.6, 3.0), width_ratios=(3, 2))
    names = ["no-op, same keys", "no-op, same keys and arguments", "admit, 1 request", "admit, each of 8", "limits, 3 windows"]
    colours = ["#999999", "#999999", _OURS, _OURS, _NAIVE]
    values = [results["admit"][name]["us"] for name in names]
    price.barh(names[::-1], values[::-1], color=colours[::-1])
    for number, value in enumerate(values[::-1]):
        price.text(value, number, f" {value:.0f}", va="center", fontsize=8)
    price.set_xlabel("us as the caller waits, median")
    levels = results["memory"]
    memory.bar([name.replace(" parked", "") for name in levels], [one["pss_mb"] for one in levels.values()], color=_OURS)
    memory.set_xlabel("requests parked")
    memory.set_ylabel("PSS of a worker of 4, MB")
    _save(figure, "gate-costs.png")


def _save(figure: Any, name: str) -> None:
    figure.tight_layout()
    figure.savefig(IMAGES / name, metadata={"Software": None})
    plt.close(figure)
    print(f"drawn: {IMAGES / name}")


if __name__ == "__main__":
    main()
