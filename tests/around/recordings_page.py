"""docs/recordings.md, made from what the readers say of every recorded reply: `python -m tests.around.recordings_page`."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from marketfetch.ops.saved_replies import read_saved

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "recordings.md"
RECORDINGS = ROOT / "tests" / "recordings"

#: What the file holds, where its own words do not say it.
DATASETS = {
    "global_quote": "GLOBAL_QUOTE", "splits_IBM": "SPLITS", "dividends_IBM": "DIVIDENDS", "digital": "DIGITAL_CURRENCY_DAILY",
    "mock_splits": "splits", "mock_dividends": "dividends", "mock_tickers": "tickers",
    "docs_grouped": "grouped", "marketstatus_now": "market_status",
    "wiki_prices": "WIKI/PRICES", "RTAT10": "NDAQ/RTAT10", "MULTPL": "MULTPL/SP500_PE_RATIO_MONTH",
}  # fmt: skip

HEAD = """# What we make of every recorded reply

Made by `python -m tests.around.recordings_page` with the code that `marketfetch read` and the workers run; a test holds this
page against it. Where the files come from says `tests/recordings/MANIFEST.tsv`. A row of a reply may give two bars (as traded,
and adjusted). The file that holds dates and nothing else is refused whole: a bar without a price is no bar.

| vendor | recorded file | outcome | rows | rejects | first to last bar | more |
|---|---|---|---:|---:|---|---|
"""


def page() -> str:
    """The page as it should be."""
    lines = []
    with (RECORDINGS / "MANIFEST.tsv").open() as manifest:
        for line in csv.DictReader(manifest, delimiter="\t"):
            provider, _, name = line["file"].partition("/")
            status = re.search(r"HTTP (\d{3})", line["what"])
            dataset = next((dataset for part, dataset in DATASETS.items() if part in name), "bars")
            told = read_saved(
                provider, dataset, (RECORDINGS / line["file"]).read_bytes(), status=int(status[1]) if status else 200
            )
            more = [f"{count} × {quirk}" for quirk, count in told.quirks.items()]
            more += ["next page" if told.next else "", f"retry after {told.retry_after:g} s" if told.retry_after else ""]
            lines.append(
                f"| {provider} | {name} | {told.outcome} | {told.rows} | {told.rejected} | {told.span} "
                f"| {', '.join(part for part in more if part)} |"
            )
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
