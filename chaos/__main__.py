"""`python -m chaos --seed 1 --requests 2000 --minutes 4.5`: one run, its report as a table and as JSON. It exits with 1 if a
promise was broken; with `--keep FOLDER` the logs of the workers and the data stay there."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console

from chaos import report, sizes
from chaos.experiment import run

RESULTS = Path(__file__).with_name("chaos.json")


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--requests", type=click.IntRange(30, 10_000), default=2000, show_default=True)
@click.option(
    "--minutes", type=click.FloatRange(0.5, 60), default=4.5, show_default=True, help="Duration of an undisturbed run."
)
@click.option("--cut", is_flag=True, help="The small run of the test suite instead.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Work in this folder and leave it.")
@click.option(
    "--json", "results", type=click.Path(dir_okay=False, path_type=Path), default=RESULTS, help="Where the report goes."
)
def main(*, seed: int, requests: int, minutes: float, cut: bool, keep: Path | None, results: Path) -> None:
    """Injects faults and crashes repeatedly, and reports what is lost."""
    console = Console()
    size = sizes.CUT if cut else sizes.full(requests=requests, minutes=minutes)
    settings = sizes.CUT_SETTINGS if cut else sizes.FULL_SETTINGS
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        found = run(size, seed=seed, folder=folder, settings=settings, log=console.print)
    lines = report.lines(found)
    console.print(report.table(found))
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    shown = [{"what": one.what, "reach": one.reach, "reached": one.reached, "ok": one.ok} for one in lines]
    results.write_text(json.dumps({"machine": machine, "report": shown, "found": found.as_json()}, indent=2) + "\n")
    console.print(f"written to {results}")
    raise SystemExit(not all(one.ok for one in lines))


if __name__ == "__main__":
    main()
