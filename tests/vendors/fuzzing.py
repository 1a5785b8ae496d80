"""Fuzzing at full length: mutated bodies with their headers, then as many mutated bytes on the wire.

`python -m tests.vendors.fuzzing [count] [seed]` prints the seed, how often each outcome was reached, the slowest case and the
peak of memory, and ends with 1 at a failure.
"""

from __future__ import annotations

import secrets
import sys
import time
from typing import Final

from tests.vendors import fuzz, fuzz_wire
from tests.vendors.fuzz import Found
from tests.vendors.peak_memory import PeakMemory

MOST_MB: Final = 200
KINDS: Final = {"bodies and headers": fuzz.run, "bytes on the wire": fuzz_wire.run}


def fuzzed(kind: str, count: int, seed: int) -> tuple[Found, float]:
    """The cases of one kind, and by how many MB memory grew at the most; more than a single case may take is a failure."""
    memory = PeakMemory()
    found = KINDS[kind](count, seed, report=_progress)
    grown_mb = memory.grown_mb()
    if grown_mb > MOST_MB:
        found.failures.append(f"memory grew by {grown_mb:.0f} MB")
    return found, grown_mb


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbelow(10**9)
    print(f"seed {seed}", flush=True)
    failed = 0
    for kind in KINDS:
        began = time.monotonic()
        found, grown_mb = fuzzed(kind, count, seed)
        for outcome, cases in sorted(found.outcomes.items()):
            print(f"{cases:8,}  {outcome}")
        print(
            f"{count:,} cases of {kind} (seed {seed}) in {time.monotonic() - began:.0f} s: {len(found.failures)} failures; "
            f"the slowest took {found.slowest_s:.2f} s ({found.slowest}); memory grew by {grown_mb:.0f} MB",
            flush=True,
        )
        print("\n".join(found.failures[:50]))
        failed += len(found.failures)
    return 1 if failed else 0


def _progress(cases: int) -> None:
    if cases and cases % 20_000 == 0:
        print(f"{cases:,} cases", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
