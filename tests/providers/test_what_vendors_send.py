"""Every recorded reply, and every reply of public problem reports, is read as its line in MANIFEST.tsv says."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from marketfetch.ops.saved_replies import SavedReply, read_saved

RECORDINGS: Final = Path(__file__).parent.parent / "recordings"

#: Where the manifest of the cases leaves a choice: what we make of it.
CHOSEN: Final = {
    "nasdaq/table_code_column.json": ("rows", 6),
    "nasdaq/sep.json": ("rows", 2),
    "polygon/go_404.txt": ("BadRequest", 0),
}
#: What a file holds, where its own words do not say it.
DATASETS: Final = {
    "global_quote": "GLOBAL_QUOTE", "splits_IBM": "SPLITS", "dividends_IBM": "DIVIDENDS", "digital": "DIGITAL_CURRENCY_DAILY",
    "mock_splits": "splits", "mock_dividends": "dividends", "mock_tickers": "tickers", "mock_marketstatus": "market_status",
    "docs_grouped": "grouped",
    "wiki_prices": "WIKI/PRICES", "RTAT10": "NDAQ/RTAT10", "MULTPL": "MULTPL/SP500_PE_RATIO_MONTH",
}  # fmt: skip


class Case(NamedTuple):
    file: str
    dataset: str
    status: int
    header: str
    outcome: str
    rows: int
    folder: Path = RECORDINGS / "cases"

    @property
    def path(self) -> Path:
        return self.folder / self.file

    def read(self) -> SavedReply:
        name, _, text = self.header.partition(": ")
        return read_saved(
            self.file.partition("/")[0],
            self.dataset,
            self.path.read_bytes(),
            status=self.status,
            headers={name: text} if name else {},
        )


def _lines(name: str) -> Iterator[dict[str, str]]:
    with (RECORDINGS / name).open(newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t")


def _cases() -> Iterator[Case]:
    for line in _lines("cases/MANIFEST.tsv"):
        right = next(text for name, text in line.items() if name.startswith("the right answer"))
        counted = re.match(r"rows (\d+)", right)
        outcome, rows = CHOSEN.get(line["file"]) or (("rows", int(counted[1])) if counted else (right.split()[0], 0))
        yield Case(line["file"], line["read as"].split()[1], int(line["status"]), line["header"] or "", outcome, rows)
    for line in _lines("MANIFEST.tsv"):
        status, right = re.search(r"HTTP (\d{3})", line["what"]), line["what a good client makes of it"]
        dataset = next((one for part, one in DATASETS.items() if part in line["file"]), "bars")
        counted = re.search(r"(\d+) (?:rows|bars|monthly rows)|n_results=(\d+)", right)
        is_error = "/err_" in line["file"] or "/empty_" in line["file"]
        outcome, rows = (re.split(r"\W", right)[0], 0) if is_error or not counted else ("rows", int(counted[1] or counted[2]))
        if line["file"] == "nasdaq/v1_dataset_112.csv":  # dates and nothing else: a bar without a price is no bar
            outcome, rows = "TooManyRejects", 0
        yield Case(line["file"], dataset, int(status[1]) if status else 200, "", outcome, rows, RECORDINGS)


CASES: Final = tuple(_cases())


@pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])
def test_a_reply_is_read_as_its_line_says(case: Case) -> None:
    found = case.read()
    assert (found.outcome, found.rows) == (case.outcome, case.rows), found.message


def test_there_are_as_many_cases_as_files():
    assert len(CASES) == len({case.file for case in CASES}) == 23 + len(list(_lines("MANIFEST.tsv")))


def _of(file: str) -> SavedReply:
    return next(case for case in CASES if case.file == file).read()


def test_an_instrument_column_gives_a_series_for_each_instrument():
    found = _of("nasdaq/table_code_column.json")
    assert [one.split(":")[0] for one in found.series] == [
        "YYYUSD 1d raw (traded prices)",
        "ZZZUSD 1d raw (traded prices)",
    ]


def test_the_adjustments_of_a_known_table_are_those_of_its_documentation():
    assert [one.split(":")[0] for one in _of("nasdaq/sep.json").series] == [
        "ZZZ 1d raw (traded prices)",
        "ZZZ 1d split (adjusted prices)",
        "ZZZ 1d split_dividend (adjusted prices)",
    ]


def test_one_bad_row_of_three_is_one_reject_that_names_the_vendors_own_field():
    found = _of("polygon/three_rows_one_bad.json")
    assert [(one.row, one.field, one.value) for one in found.rejects] == [(1, "h", "4.99")]


def test_a_bar_of_zeros_is_a_reject_and_its_neighbours_stay():
    assert [(one.row, one.field) for one in _of("polygon/zero_bars.json").rejects] == [(3, "o")]


def test_days_without_a_trade_are_counted():
    assert _of("nasdaq/settle_outside.json").quirks == {"day without a trade": 2}
