"""How a job ended, in words: counts that add up, each reason once."""

from __future__ import annotations

from click.testing import CliRunner

from marketfetch import Counts, Failure, JobStatus
from marketfetch.cli.steer import retry
from marketfetch.documents.outcome import next_step, of_retry, sentences
from marketfetch.jobs.steering import not_over


def state(**changes: object) -> JobStatus:
    whole: dict[str, object] = {
        "job": "0123456789abcdef",
        "provider": "polygon",
        "state": "done",
        "requests": Counts(total=2, stored=2),
        "rows": 1234,
        "rejects": 0,
        "eta_seconds": 0,
        "failures": [],
        "reject_reasons": {},
        "trouble": [],
    }
    return JobStatus.model_validate(whole | changes)


def test_a_job_that_went_well_is_one_line() -> None:
    line = "polygon job 0123456789abcdef is done: 2 requests (2 stored), 1,234 rows, 0 rejects."
    assert sentences(state()) == [line]


def test_a_column_that_is_gone_is_a_warning() -> None:
    gone = "nasdaq ZACKS/FC: the column 'eps' is gone since 2024-01-02, and 'eps_mean' is new"
    assert sentences(state(changed_columns=[gone]))[1:] == [f"  warning: {gone}"]


def test_name_and_tags_stand_below_the_counts() -> None:
    assert sentences(state(name="nightly", tags=["eod", "us"]))[1:] == ["  name nightly, tags eod and us"]
    assert sentences(state(tags=["eod"]))[1:] == ["  tag eod"]


def test_an_empty_request_is_called_empty() -> None:
    line = "polygon job 0123456789abcdef is done: 3 requests (1 stored, 2 empty), 4 rows, 0 rejects."
    assert sentences(state(requests=Counts(total=3, stored=3), empty=2, rows=4)) == [line]
    assert "1 request (1 empty), 0 rows" in sentences(state(requests=Counts(total=1, stored=1), empty=1, rows=0))[0]


def test_equal_reasons_are_told_once_with_their_number() -> None:
    failures = [Failure(request=f"{i}", symbol="ZZZZ", reason="ZZZZ: UnknownSymbol: no.") for i in range(3)]
    failures += [Failure(request="9", symbol="YYYY", reason="YYYY: NotEntitled: no.")]
    lines = sentences(state(state="failed", requests=Counts(total=6, stored=2, failed=4), failures=failures))
    assert "is over, with failures: 6 requests (2 stored, 4 failed)" in lines[0]
    assert lines[1:] == ["  failed: 3 × ZZZZ: UnknownSymbol: no.", "  failed: YYYY: NotEntitled: no."]


def test_a_retry_of_what_the_vendor_refused_is_not_advised() -> None:
    refused = [Failure(request=f"{i}", symbol="KO", reason="KO: BadRequest: no such range.") for i in range(2)]
    other = Failure(request="9", symbol="KO", reason="KO: Unavailable: no.")
    whole = state(state="failed", requests=Counts(total=2, failed=2), failures=refused)
    assert next_step(whole).startswith("The vendor refused each failed request, and would refuse it again: correct")
    assert of_retry(whole) == next_step(whole)
    mixed = state(state="failed", requests=Counts(total=3, failed=3), failures=[*refused, other])
    assert "`marketfetch retry 0123456789abcdef`" in next_step(mixed)
    assert of_retry(mixed) == of_retry(state()) == ""


def test_a_retry_that_will_bring_the_same_says_so_when_it_is_called(monkeypatch) -> None:
    refused = Failure(request="1", symbol="KO", reason="KO: BadRequest: no such range.")
    asked = state(state="failed", requests=Counts(total=1, failed=1), failures=[refused])
    monkeypatch.setattr("marketfetch.status", lambda _job: asked)
    monkeypatch.setattr("marketfetch.retry", lambda _job: 1)
    monkeypatch.setattr("marketfetch.cli.steer._whole", lambda job: job)
    done = CliRunner().invoke(retry, [asked.job])
    assert done.stdout == f"1 failed request of {asked.job} is to be made again.\n"
    assert done.stderr.startswith("The vendor refused each failed request, and would refuse it again: correct")


def test_a_symbol_that_is_unknown_is_corrected_and_not_asked_for_again() -> None:
    unknown = [Failure(request=f"{i}", symbol=f"ZZZ{i}", reason=f"ZZZ{i}: UnknownSymbol: no.") for i in range(2)]
    other = Failure(request="9", symbol="YYYY", reason="YYYY: Unavailable: no.")
    for failures, says in (
        (unknown[:1], "A retry would bring the same: fetch the corrected symbol."),
        (unknown, "A retry would bring the same: fetch the corrected symbols."),
        ([unknown[0], unknown[0]], "A retry would bring the same: fetch the corrected symbol."),
        ([*unknown, other], "`marketfetch retry 0123456789abcdef` makes the failed requests again."),
    ):
        counts = Counts(total=3, failed=len(failures))
        assert next_step(state(state="failed", requests=counts, failures=failures)).startswith(says)
    cut = state(state="failed", requests=Counts(total=200, failed=200), failures=unknown)
    assert "marketfetch retry" in next_step(cut), "the reasons of the others are not known here"


def test_a_job_without_a_call_says_both_why_that_may_be() -> None:
    assert sentences(state(requests=Counts(total=0), rows=0))[-1] == (
        "  No call was needed: all of it was stored already, or its range has no session."
    )


def test_a_vendor_that_did_not_answer_is_followed_by_what_to_do() -> None:
    failures = [Failure(request="1", symbol="AAPL", reason="AAPL: Unavailable: no connection.")]
    lines = sentences(state(state="failed", requests=Counts(total=1, failed=1), failures=failures))
    assert "`marketfetch check`" in lines[-1]
    assert "marketfetch retry" in lines[-1]


def test_rejects_are_told_by_reason_the_most_frequent_first() -> None:
    lines = sentences(state(rejects=4, reject_reasons={"price is negative": 1, "high is below low": 3}))
    assert lines[1:] == ["  rejected: 3 × high is below low", "  rejected: 1 × price is negative"]


def test_a_job_without_a_row_says_what_that_may_mean() -> None:
    assert "check range and spelling" in sentences(state(rows=0))[-1]


def test_symbols_of_which_nothing_came_are_named_in_a_mixed_job_too() -> None:
    names = [f"ZZZZ{i}" for i in range(8)]
    lines = sentences(state(requests=Counts(total=3, stored=3), empty=2, empty_symbols=names[:2], empty_symbols_total=2))
    assert "3 requests (1 stored, 2 empty)" in lines[0]
    either = "polygon has none for this range, or does not know"
    assert lines[1:] == [f"  No row came of ZZZZ0 and ZZZZ1: {either} them. Check range and spelling."]
    of_one = sentences(state(empty=1, rows=0, empty_symbols=names[:1], empty_symbols_total=1))
    assert of_one[1:] == [f"  No row came of ZZZZ0: {either} it. Check range and spelling."]
    many = sentences(state(empty=1205, empty_symbols=names, empty_symbols_total=1205))
    assert "of ZZZZ0, ZZZZ1, ZZZZ2, ZZZZ3, ZZZZ4 and 1,200 more: " in many[-1]


def test_a_running_job_says_what_waits_and_how_long() -> None:
    running = state(state="running", requests=Counts(total=9, parked=5, running=2, stored=2), eta_seconds=7200)
    assert "is running: 9 requests (2 stored, 2 running, 5 waiting)" in sentences(running)[0]
    assert sentences(running)[0].endswith("About 2 h left.")


def test_many_reasons_are_cut() -> None:
    failures = [Failure(request=f"{i}", symbol=f"S{i}", reason=f"S{i}: no.") for i in range(13)]
    lines = sentences(state(state="failed", requests=Counts(total=13, failed=13), failures=failures))
    assert len(lines) == 12
    assert lines[-1] == "  ... and for 3 more reasons; `marketfetch status 0123456789abcdef --failed` lists all"


def test_a_wait_that_was_too_short_names_what_the_job_waits_for() -> None:
    late = "Job 0123456789abcdef is not over after 5 s"
    assert str(not_over(state(state="running"), 5)) == f"{late}; it goes on, and `wait` may be called again."
    stands_still = state(state="running", trouble=["The key 'main' is set aside: unknown key."])
    assert str(not_over(stands_still, 5)) == f"{late}: The key 'main' is set aside: unknown key."
