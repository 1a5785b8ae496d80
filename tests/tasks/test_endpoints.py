"""Where a call goes and how long it may take: a file has an address, credentials, bounds and a lease of its own."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from marketfetch.sections import Key
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import NotEntitled
from marketfetch.vendors.file_service import MOST_FILE_BYTES
from marketfetch.vendors.http import HttpRequest, KeyPlace
from tasks import endpoints
from tasks.app import app

MAIN = Key("main", SecretStr("K"))
FILE = HttpRequest("/bucket/a.csv.gz", (), KeyPlace("signature", "Authorization"), is_file=True)
API = HttpRequest("/v2/x", (), KeyPlace("header", "Authorization"))


@pytest.fixture
def with_options(monkeypatch):
    def given(**options: object) -> None:
        ours = vendor("polygon").options(files_url="https://files.vendor.test", **options)
        monkeypatch.setattr(endpoints, "options", lambda name: ours)

    return given


def test_a_file_goes_to_the_service_with_the_credentials_of_its_key(with_options):
    with_options(file_keys={"main": "ID:S", "other": "ID2:S2"})
    found = endpoints.endpoint_of("polygon", FILE, MAIN)
    assert (found.base_url, found.secret.get_secret_value()) == ("https://files.vendor.test", "ID:S")
    assert (found.timeouts.total_s, found.timeouts.max_bytes) == (90, MOST_FILE_BYTES)


def test_every_other_call_goes_where_it_went_with_the_key_of_the_api(with_options):
    with_options(file_keys={"main": "ID:S"})
    found = endpoints.endpoint_of("polygon", API, MAIN)
    assert found.secret.get_secret_value() == "K"
    assert found.base_url != "https://files.vendor.test"
    assert found.timeouts.total_s == 20


def test_a_worker_without_the_credentials_names_the_setting_and_sends_nothing(with_options):
    with_options(file_keys={"other": "ID2:S2"})
    with pytest.raises(NotEntitled, match=r"set providers\.polygon\.file_keys"):
        endpoints.endpoint_of("polygon", FILE, MAIN)


def test_the_lease_of_a_file_outlives_its_download_and_ends_before_its_task_is_killed(with_options):
    with_options()
    assert endpoints.lease_s("polygon", "flat_files") == 90 + 3 * (25 - 20)
    assert endpoints.lease_s("polygon", "flat_files") < app.conf.task_time_limit
    assert endpoints.lease_s("polygon", "bars") == endpoints.lease_s("polygon", None) == 25
