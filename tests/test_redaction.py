"""No secret in any spelling: each of these keys, as vendors and libraries have echoed keys, is cut whole."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Callable
from html.entities import html5
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.redaction import CUT, Redactor, redact, redact_bytes

SECRETS = (
    "Zq9X+pW/7=&k%3Tmv",
    "a\"quote'd\\back/slash",
    "LETTERSX",
    "plain0123456789abcdef",
    "a\"b'c\\d<e>f1",
    "&&\\\\''//: ?#",
)

#: The shortest of HTML's names of a character, with its semicolon.
NAMES = {one: name for name, one in sorted(html5.items(), key=lambda pair: -len(pair[0])) if name.endswith(";")}

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda key: key,
    "percent": lambda key: quote(key, safe=""),
    "percent, lower case": lambda key: "".join(f"%{ord(one):02x}" for one in key),
    "plus": quote_plus,
    "slash left": quote,
    "twice": lambda key: quote(quote(key, safe=""), safe=""),
    "json": lambda key: json.dumps(key)[1:-1],
    "json in json": lambda key: json.dumps(json.dumps(key)[1:-1])[1:-1],
    "json, all escaped": lambda key: "".join(f"\\u{ord(one):04X}" for one in key),
    "html": html.escape,
    "html, decimal": lambda key: "".join(f"&#{ord(one)};" for one in key),
    "html, hex": lambda key: "".join(f"&#x{ord(one):X};" for one in key),
    "html, no semicolons": lambda key: "".join(f"&#{ord(one)}" for one in key),
    "html, by name": lambda key: "".join(f"&{NAMES[one]}" if one in NAMES else one for one in key),
    "html, twice": lambda key: html.escape(html.escape(key)),
    "json of html": lambda key: json.dumps(html.escape(key))[1:-1],
    "percent-encoded html": lambda key: quote_plus(html.escape(key)),
    "percent-encoded html, decimal": lambda key: quote("".join(f"&#{ord(one)};" for one in key), safe=""),
    "percent-encoded json": lambda key: quote_plus(json.dumps(key)[1:-1]),
    "percent-encoded json, all escaped": lambda key: quote("".join(f"\\u{ord(one):04x}" for one in key), safe=""),
    "repr": lambda key: repr(key)[1:-1],
    "hex escapes": lambda key: "".join(f"\\x{ord(one):02x}" for one in key),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64, second place": lambda key: base64.b64encode(b"u" + key.encode() + b"more").decode(),
    "base64, third place": lambda key: base64.urlsafe_b64encode(b"us" + key.encode() + b"m").decode(),
    "base64, percent-encoded": lambda key: quote(base64.b64encode(key.encode()).decode(), safe=""),
    "base64, json": lambda key: base64.b64encode(b"?" + key.encode()).decode().replace("/", "\\/"),
    "basic": lambda key: "Basic " + base64.b64encode(f"user:{key}".encode()).decode(),
    "half and half": lambda key: quote(key[:4], safe="") + key[4:],
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_cut_in_every_spelling(secret, spelling):
    echoed = SPELLINGS[spelling](secret)
    found = redact(f"before {echoed} after", SECRETS)
    assert found.startswith("before ")
    assert found.endswith(" after")
    assert CUT in found
    assert echoed not in found
    # What is left holds no run from which the key could be read.
    assert not any(secret[i : i + 5] in found for i in range(len(secret) - 4))


@pytest.mark.parametrize("name", ["apikey", "api_key", "api-key", "access_token", "auth", "token", "key", "Signature"])
@pytest.mark.parametrize("sign", ["=", "%3D"])
def test_the_value_of_what_looks_like_a_key_in_a_url_is_cut_too(name, sign):
    assert Redactor(()).text(f"GET /x?{name}{sign}abc123&limit=5") == f"GET /x?{name}{sign}{CUT}&limit=5"


def test_a_body_keeps_every_other_byte():
    body = b'\xff\x00{"key": "Zq9X%2BpW/7=&k%253Tmv"}\x80'
    assert redact_bytes(body, SECRETS) == b'\xff\x00{"key": "[secret]"}\x80'


def test_one_secret_inside_another_is_cut_with_it():
    assert redact("key-and-more", ("key", "key-and-more")) == CUT


@given(st.text(max_size=200))
def test_text_without_a_secret_stays_as_it_is(text):
    assert redact(text, ("0123456789ABCDEFGH",)) == text


def test_an_event_is_cut_however_deep():
    event = {"a": ["LETTERSX", {"b": ("x", "LETTERSX")}], "n": 5, "none": None}
    assert Redactor(SECRETS)(None, "", event) == {"a": [CUT, {"b": ["x", CUT]}], "n": 5}


@pytest.mark.parametrize(
    "text",
    [
        "\\" * 300_000,
        "%" + "25" * 150_000,
        "%25" * 100_000,
        "&" + "amp;" * 100_000,
        "&#" + "0" * 300_000,
        "&" * 300_000,
        "a" * 300_000,
    ],
    ids=lambda text: text[:8],
)
def test_a_long_text_of_beginnings_of_escapes_takes_no_time(text):
    """In proportion to its length: a search that begins anew at each sign would take sixteen times as long for four times."""
    spent = []
    for part in (text[: len(text) // 4], text):
        began = time.thread_time()
        assert redact(part, SECRETS) == part
        spent.append(time.thread_time() - began)
    assert spent[1] < 8 * spent[0] + 0.5
