"""`python -m benchmarks.gate_suite`: measures the gate with shipped defaults: use of limits, costs, memory, latency.

Two workers of four processes call vendors 20 to 120 ms away that count violations and refuse none. Each row is a function in
a file of its own; results are written to benchmarks/gate.json, where a new measurement replaces its own row.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.gate_admit import admit_costs
from benchmarks.gate_delivery import delivery
from benchmarks.gate_feeding import feeding
from benchmarks.gate_judged import judged
from benchmarks.gate_latency import latency
from benchmarks.gate_memory import worker_memory
from benchmarks.gate_million import million
from benchmarks.gate_naive import naively
from benchmarks.gate_pools import pools
from benchmarks.gate_scenarios import SCENARIOS, Scenario

RESULTS = Path(__file__).parent / "gate.json"
Log = Callable[[str], None]


def scenarios(measure: Callable[[Scenario], dict[str, Any]], chosen: Iterable[Scenario], log: Log) -> dict[str, Any]:
    """Measures each scenario in turn."""
    found = {}
    for scenario in chosen:
        log(f"{scenario.name}, about {scenario.ideal_s():.0f} s")
        found[scenario.name] = measure(scenario)
    return found


#: name -> the function that measures it, by `short`.
ROWS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "feeding": feeding,
    "delivery": delivery,
    "memory": worker_memory,
    "admit": admit_costs,
    "million": million,
    "latency": latency,
    "pools": pools,
}
JUDGED = {"judged": judged, "naive": naively}


@click.command()
@click.option("--only", multiple=True, type=click.Choice([*JUDGED, *ROWS]), help="This row alone; may be repeated.")
@click.option("--scenario", multiple=True, help="Of the judged rows only this scenario, by its name.")
@click.option("--short", is_flag=True, help="A fraction of the calls, to see that it runs.")
@click.option("--keep", is_flag=True, help="Measure nothing: show what benchmarks/gate.json holds.")
def main(only: tuple[str, ...], scenario: tuple[str, ...], short: bool, keep: bool) -> None:
    """Measures the gate's promises."""
    console = Console(width=None if sys.stdout.isatty() else 128)
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    chosen = [one.shortened(5) if short else one for one in SCENARIOS if not scenario or one.name in scenario]
    jobs = {name: partial(scenarios, measure, chosen, console.print) for name, measure in JUDGED.items()}
    jobs |= {name: partial(measure, short) for name, measure in ROWS.items()}
    for name, job in jobs.items():
        if keep or (only and name not in only):
            continue
        console.rule(name)
        results[name] = {**results.get(name, {}), **job()}
        if not short:
            RESULTS.write_text(json.dumps(results, indent=1))
        show(console, name, results[name])
    if keep:
        for name, found in results.items():
            show(console, name, found)
    console.print(f"written to {RESULTS}; `python -m benchmarks.gate_plots` draws docs/images from it")


def show(console: Console, name: str, found: dict[str, Any]) -> None:
    """A table of one row's figures: a line per scenario or per thing measured."""
    of_things = {thing: figures for thing, figures in found.items() if isinstance(figures, dict)}
    columns = list(dict.fromkeys(figure for figures in of_things.values() for figure in figures if figure != "arrivals"))
    if of_things:
        table = Table(name, *columns)
        for thing, figures in of_things.items():
            table.add_row(thing, *(f"{figures.get(column, '')}" for column in columns))
        console.print(table)
    plain = {figure: value for figure, value in found.items() if not isinstance(value, dict)}
    if plain:
        table = Table(name, "")
        for figure, value in plain.items():
            table.add_row(figure, f"{value}")
        console.print(table)


if __name__ == "__main__":
    main()
