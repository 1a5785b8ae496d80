"""Keys that vendors blame, with real workers: one false verdict ends no key, a second one and five unknown refusals do."""

from __future__ import annotations

import json

from tests.flow.conftest import SECRETS

RANGE = {"start": "2024-01-02", "end": "2024-01-05"}
EARLIER = {"start": "2017-01-03", "end": "2017-01-06"}
TWO_KEYS = '["old:key-old", "new:key-new"]'


def reported(place):
    """What `marketfetch quotas --json` says of each key."""
    keys = json.loads(place.marketfetch("quotas", "--json").stdout)["keys"]
    return {(one["provider"], one["label"]): one for one in keys}


def test_a_single_false_verdict_a_cdns_page_and_unknown_words_end_no_key_and_no_request(place, sandbox):
    sandbox.faults(
        {"kind": "verdict", "provider": "polygon", "way": "rejected key", "count": 1},
        {"kind": "verdict", "provider": "nasdaq", "way": "cdn 403", "count": 2},
        {"kind": "verdict", "provider": "alpha_vantage", "way": "unknown sentence", "count": 1},
        {"kind": "verdict", "provider": "alpha_vantage", "way": "greeting", "count": 1},
    )
    place.worker()
    for provider in SECRETS:
        status = place.fetch(provider, "AAPL", **(EARLIER if provider == "nasdaq" else RANGE))
        assert (status["state"], status["requests"]["stored"]) == ("done", 1), (provider, status)
    calls = place.rows("SELECT provider, calls FROM ledger ORDER BY provider")
    assert calls == [("alpha_vantage", 2), ("nasdaq", 3), ("polygon", 2)]
    assert "suspect the key, requeue the request" in place.worker_log
    assert "key set aside" not in place.worker_log
    assert all(not one["aside_why"] and not one["suspected_why"] for one in reported(place).values())
    # People report what is not known: the log and the command say it, without the key.
    assert place.worker_log.count("a sentence we do not know") >= 1
    assert reported(place)["alpha_vantage", "main"]["unknown_sentences"] == 1
    shown = place.marketfetch("quotas").stderr
    assert "alpha_vantage main: a sentence we do not know (1 so far)" in shown
    assert "The winds are contrary today" in shown
    assert not any(secret in shown for secret in SECRETS.values())


def test_a_second_verdict_sets_the_key_aside_and_its_requests_go_on_with_another(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = TWO_KEYS
    sandbox.keys("polygon", "key-old", refused=True)
    place.worker()
    status = place.fetch("polygon", "AAPL", "MSFT", "TSLA", "IBM", "AMD", "NVDA", **RANGE)
    assert status["requests"]["stored"] == 6
    assert place.rows("SELECT DISTINCT key_label FROM ledger") == [("new",)]
    assert "rejected the API key" in reported(place)["polygon", "old"]["aside_why"]
    # As many as there are children at first, and the one that decides.
    assert 2 <= sandbox.log()["providers"]["polygon"]["key-old"]["calls"] <= 4 + 1


def test_five_unknown_refusals_in_a_row_set_the_key_aside_and_another_goes_on(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = TWO_KEYS
    place.env["MARKETFETCH_PROVIDERS__POLYGON__KEY_LIMITS"] = '{"old": [], "new": ["1/second"]}'
    sandbox.faults(kind="verdict", provider="polygon", way="unknown 403", key="key-old", rate=1)
    place.worker()
    status = place.fetch("polygon", "AAPL", "MSFT", "TSLA", "IBM", "AMD", "NVDA", "GOOG", **RANGE)
    assert status["requests"]["stored"] == 7
    assert {row[0] for row in place.rows("SELECT key_label FROM ledger")} == {"new"}
    why = reported(place)["polygon", "old"]["aside_why"]
    assert why.startswith("refused, reason not recognised: ")
    assert "The winds are contrary today" in why
    assert "key-old" not in why
    # Five in a row, and the calls that were open with the third.
    assert 5 <= sandbox.log()["providers"]["polygon"]["key-old"]["calls"] <= 5 + 3
