"""The runner's one table: every error of the tree has a step, and pauses come from the vendor's own words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from marketfetch.quotas import key_limits
from marketfetch.vendors import errors
from marketfetch.vendors.errors import FetchError, RateLimited
from tasks.outcomes import TABLE, Step, longest_wait_ms, next_step, pause_ms, said_ms, sentence


def leaves(kind: type[FetchError]) -> list[type[FetchError]]:
    below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return below or [kind]


def make(kind: type[FetchError]) -> FetchError:
    if kind is RateLimited:
        return RateLimited("slow down", scope="minute")
    if kind is errors.TooManyRejects:
        return kind.__new__(kind, "too many")
    return kind("something happened")


@pytest.mark.parametrize("kind", leaves(FetchError), ids=lambda kind: kind.__name__)
def test_every_error_of_the_tree_has_a_step(kind):
    assert any(issubclass(kind, listed) for listed, _ in TABLE)
    assert isinstance(next_step(make(kind), attempts=0, most=5), Step)


def test_only_transient_errors_are_tried_again():
    tried = {
        kind for kind in leaves(FetchError) if next_step(make(kind), attempts=0, most=5) in (Step.BACKOFF, Step.ASK_ONCE_MORE)
    }
    assert tried == {errors.Unavailable, errors.SuspectEmpty, errors.NotYet}


def test_retries_end():
    error = errors.Unavailable("503")
    assert next_step(error, attempts=4, most=5) is Step.BACKOFF
    assert next_step(error, attempts=5, most=5) is Step.FAIL


def test_an_empty_reply_that_repeats_itself_is_an_answer():
    error = errors.SuspectEmpty("results: null")
    assert next_step(error, attempts=0, most=5) is Step.ASK_ONCE_MORE
    assert next_step(error, attempts=1, most=5) is Step.RECORD_EMPTY


def test_a_refusal_never_spends_a_retry_however_many_were_spent():
    assert next_step(RateLimited("no", scope="day"), attempts=99, most=5) is Step.PAUSE


def test_the_vendors_own_wish_decides_the_pause():
    assert pause_ms(RateLimited("no", scope="day", retry_after_ms=7_000)) == 7_000


def test_a_retry_after_of_zero_does_not_burn_calls():
    assert pause_ms(RateLimited("no", scope="second", retry_after_ms=0)) == 100


def test_without_a_wish_the_named_window_decides():
    assert pause_ms(RateLimited("no", scope="minute")) == 60_000
    assert pause_ms(RateLimited("no", scope="second")) < 2_000


def test_the_ledgers_sentence_names_symbol_class_and_key_label():
    refused = errors.BadCredentials("Polygon does not accept the key: check api_keys")
    assert sentence(refused, provider="polygon", symbol="AAPL", key_label="main") == (
        "AAPL: BadCredentials: Polygon does not accept the key: check api_keys. The key is the one labelled 'main'."
    )


def test_an_unreachable_vendor_is_told_with_the_setting_to_look_at():
    away = errors.Unavailable("nasdaq (key main): the connection could not be made")
    assert "providers.nasdaq.base_url" in sentence(away, provider="nasdaq", symbol="AAPL", key_label="main")


#: 23:58 in New York.
_LATE = datetime(2026, 11, 20, 4, 58, tzinfo=UTC)
_NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("limits", "zone", "now", "expected_ms"),
    [
        (("5/minute",), "America/New_York", _NOON, 12 * 3_600_000),
        (("5/minute",), "America/New_York", _LATE, 600_000),
        (("5/minute", "25/day@Asia/Tokyo"), "America/New_York", _LATE, 10 * 3_600_000 + 120_000),
        (("500/30days",), "America/New_York", _NOON, 30 * 86_400_000),
        ((), "UTC", _NOON, 7 * 3_600_000),
    ],
)
def test_a_vendors_wait_is_obeyed_up_to_the_longest_window_and_the_next_change_of_day(limits, zone, now, expected_ms):
    assert longest_wait_ms(key_limits("main", limits), zone=zone, now=now) == expected_ms


def test_a_wait_of_years_is_capped_and_said_beside_the_cap():
    error = RateLimited("no", scope="minute", retry_after_ms=69_890_688 * 3_600_000)
    pause = pause_ms(error, most_ms=86_400_000)
    assert pause == 86_400_000
    assert said_ms(error.retry_after_ms, pause) == ("; the vendor says to wait 69,890,688.0 h, which is capped at 24.0 h")
    honest = RateLimited("no", scope="minute", retry_after_ms=300_000)
    assert pause_ms(honest, most_ms=longest_wait_ms(key_limits("main", ("5/minute",)), zone="UTC", now=_LATE)) == 300_000
    assert said_ms(300_000, 300_000) == said_ms(None, 60_000) == ""
