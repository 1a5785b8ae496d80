"""`python -m benchmarks.prices_adjusted`: 5,000 symbols with ten years of daily bars, adjusted; reading them is not in it.

12,600,000 bars in memory, two splits and forty dividends a symbol. The target is 5 s.
"""

from __future__ import annotations

import time
from typing import Final

import click
import numpy as np

from marketfetch.frames.actions import Actions, Bars
from marketfetch.frames.doubtful_actions import kind_of
from marketfetch.frames.factors import factors

_SESSIONS: Final = 2_520
_BEGIN: Final = 12_000
_SPLITS: Final = (700, 1_900)


@click.command()
@click.option("--symbols", default=5_000, show_default=True)
def main(symbols: int) -> None:
    """Prints the seconds of CPU."""
    draw = np.random.default_rng(1)
    n = np.repeat(np.arange(symbols), _SESSIONS)
    day = np.tile(np.arange(_BEGIN, _BEGIN + _SESSIONS), symbols)
    columns = [draw.uniform(10, 100, symbols * _SESSIONS) for _ in range(5)]
    splits = [(i, _BEGIN + at + i % 300, 2.0, 0.0, None, "") for i in range(symbols) for at in _SPLITS]
    cash = [(i, _BEGIN + 63 * at + i % 60, 0.3, 0.0, None, kind_of("CD", "USD")) for i in range(symbols) for at in range(40)]
    begin = time.process_time()
    by = factors(Bars(n, day, columns[0]), Actions.of(splits), Actions.of(cash))
    found = time.process_time()
    for column in columns:
        column *= by.volume if column is columns[-1] else by.price
    done = time.process_time()
    click.echo(f"{len(n):,} bars, {len(splits):,} splits, {len(cash):,} dividends")
    click.echo(f"factors {found - begin:.2f} s, multiplied {done - found:.2f} s, together {done - begin:.2f} s of CPU")


if __name__ == "__main__":
    main()
