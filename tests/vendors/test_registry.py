"""Which vendors there are: from the installed packages' entry points, loaded when first asked for, without numpy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

import pytest

from marketfetch import settings, vendors
from marketfetch.settings import SettingsError, get_settings


@pytest.fixture
def installed(monkeypatch) -> Iterator[list[EntryPoint]]:
    """The entry points that this process sees; a test may add to them."""
    found = list(entry_points(group=vendors.GROUP))
    monkeypatch.setattr(vendors, "entry_points", lambda *, group: found)
    caches = (vendors._installed, vendors.vendor, settings.model, get_settings)
    for cache in caches:
        cache.cache_clear()
    yield found
    for cache in caches:
        cache.cache_clear()


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=vendors.GROUP)


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (entry("Acme-1", "acme:VENDOR"), "has no usable name"),
        (entry("polygon", "acme:VENDOR"), "two packages bring the vendor 'polygon'"),
        (entry("acme", "no_such_module:VENDOR"), "can't be loaded: ModuleNotFoundError"),
        (entry("acme", "json:dumps"), "is not a marketfetch.vendors.protocol.Vendor"),
        (entry("acme", "marketfetch.providers.polygon:VENDOR"), "calls itself 'polygon'"),
    ],
)
def test_a_vendor_that_cannot_be_used_stops_at_boot_with_a_sentence(installed, one, says):
    installed.append(one)
    with pytest.raises(SettingsError, match=says):
        get_settings()


def test_planning_and_calling_load_no_numpy_no_celery_and_no_transport():
    code = (
        "import sys\n"
        "from datetime import date\n"
        "from marketfetch.jobs.planning import make_spec, plan\n"
        "from marketfetch.configured import keys, options\n"
        "from marketfetch.vendors import names, vendor\n"
        "for name in names():\n"
        "    form = vendor(name).symbol_forms[0]\n"
        "    spec = make_spec(name, form.examples, again=False, dataset=form.dataset, timespan=form.timespan,\n"
        "                     start=date(2024, 1, 1), end=date(2024, 12, 31))\n"
        "    calls = [vendor(name).build_request(one, options(name)) for one in plan(spec)]\n"
        "    assert calls and keys(name) == ()\n"
        "print([name for name in ('numpy', 'celery', 'kombu', 'flower', 'requests', 'msgspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
