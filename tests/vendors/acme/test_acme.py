"""Acme does what every vendor must: marketfetch's own suite, run where marketfetch and acme-prices are installed."""

from pathlib import Path

from acme_prices import VENDOR

from marketfetch.vendors.conformance import Recording, VendorConformance


class TestAcme(VendorConformance):
    vendor = VENDOR
    recordings = (Recording((Path(__file__).parent / "recordings" / "anvil.json").read_bytes(), rows=3),)
