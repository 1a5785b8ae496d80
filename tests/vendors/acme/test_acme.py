"""Acme does what every vendor must: marketfetch's own suite, run where marketfetch and acme-prices are installed."""

from pathlib import Path

from acme_prices import VENDOR

from marketfetch.vendors.conformance import RecordedError, Recording, VendorConformance


class TestAcme(VendorConformance):
    vendor = VENDOR
    recordings = (Recording((Path(__file__).parent / "recordings" / "anvil.json").read_bytes(), rows=3),)
    errors = (
        RecordedError(401, b'{"error": "unknown key"}', "BadCredentials"),
        RecordedError(403, b'{"error": "not in your plan"}', "NotEntitled"),
        RecordedError(404, b'{"error": "no such symbol"}', "UnknownSymbol"),
    )
