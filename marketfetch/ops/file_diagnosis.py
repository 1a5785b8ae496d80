"""What `marketfetch check` says about a vendor's S3 service: it asks for a byte of a file, which costs no call of the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.exceptions import MarketfetchError
from marketfetch.extras import need
from marketfetch.ops.finding import Finding
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.settings import get_settings
from marketfetch.vendors.errors import FetchError
from marketfetch.vendors.file_service import FileService
from marketfetch.vendors.trading_days import sessions

if TYPE_CHECKING:
    from pydantic import SecretStr

#: Within which the service has to answer, connecting included.
ANSWER_S: Final = 5.0
#: A file of so long ago is there.
_AGO_DAYS: Final = 14
#: A service that knows no ranges sends the whole file.
_MOST_BYTES: Final = 8 << 20


def of_files() -> Iterator[Finding]:
    """Tries the credentials of every vendor's files. No sentence holds any of them."""
    for name in vendors.names():
        ours = options(name)
        if not isinstance(ours, FileService) or not ours.file_keys:
            continue
        tried: set[str] = set()
        for key in get_settings().provider(name).keys:
            secret = ours.file_key(key.label)
            if secret is None or secret.get_secret_value() in tried:
                continue
            tried.add(secret.get_secret_value())
            yield _tried(name, ours, key.label, secret)


def _tried(name: str, ours: FileService, label: str, secret: SecretStr) -> Finding:
    where = f"The files at {ours.files_url} (key {label})"
    try:
        said = _refusal(name, ours, label, secret)
    except MarketfetchError as error:
        said = str(error)
    if said:
        sentence = f"{where} can't be fetched: {said.rstrip('.')}."
        return Finding(level="warning", subject=name, sentence=sentence)
    return Finding(level="ok", subject=name, sentence=f"{where} can be fetched with the credentials in file_keys.")


def _refusal(name: str, ours: FileService, label: str, secret: SecretStr) -> str:
    """Why a file can't be fetched; "" if it can. Raises MissingExtra."""
    need("requests", for_what="Fetching a vendor's files")
    from marketfetch.vendors import reading, transport  # requests and numpy, which no other check needs

    vendor = vendors.vendor(name)
    dataset = next(one for one in vendor.datasets if one.from_files)
    latest = datetime.now(UTC).date() - timedelta(days=_AGO_DAYS)
    sample = Request(provider=name, dataset=dataset.name, symbol=WHOLE_MARKET, timespan=dataset.timespans[0])
    day = sessions(vendor.finality_of(sample, ours).calendar, latest - timedelta(days=_AGO_DAYS), latest)[-1]
    request, section = sample.model_copy(update={"start": day, "end": day}), get_settings().provider(name)
    call = replace(vendor.build_request(request, ours), headers={"Range": "bytes=0-0"})
    try:
        reply = transport.send(
            call,
            base_url=ours.files_url,
            provider=name,
            key_label=label,
            key=secret,
            way=transport.Way(section.proxy, str(section.ca_file) if section.ca_file else None),
            timeouts=transport.Timeouts(connect_s=ANSWER_S, read_s=ANSWER_S, total_s=ANSWER_S, max_bytes=_MOST_BYTES),
        )
        if reply.status not in (200, 206):
            reading.read(request, reply, ours, max_reject_share=1.0, secrets=tuple(secret.get_secret_value().split(":", 1)))
    except FetchError as error:
        return error.message
    return ""
