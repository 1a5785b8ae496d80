"""Why the vendor's S3 service gave no file: the status and the code of its XML classify it.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.error_bodies import body_text, unknown_refusal
from marketfetch.vendors.errors import BadRequest, FetchError, NotEntitled, NotYet, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import check_whole, http_date, quoted, rate_limited

from .errors import WHO

_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
_SAID: Final = re.compile(r"<Message>([^<]{1,500})</Message>")
#: The service does not know the access key id, or the secret does not belong to it. It says nothing about the API key.
_CREDENTIALS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidClientTokenId"}
)
_ENTITLEMENT: Final = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "NotSignedUp"})
_TOO_OFTEN: Final = frozenset({"SlowDown", "RequestLimitExceeded", "TooManyRequests", "Throttling"})
#: A file is published on the day after its session, and sometimes some days later.
_SURELY_THERE_DAYS: Final = 7
_AGAIN_MS: Final = 30 * 60_000


def check_file_status(request: Request, reply: HttpReply) -> None:
    """Raises for every status but 200."""
    if reply.status != 200:
        raise _error(request, reply)


def _error(request: Request, reply: HttpReply) -> FetchError:
    status, text = reply.status, body_text(reply)
    code = found[1] if (found := _CODE.search(text)) else ""
    said = quoted(found[1]) if (found := _SAID.search(text)) else code or f"status {status}"
    if status == 429 or code in _TOO_OFTEN:
        return rate_limited(reply, f"{WHO}'s files are asked for too often ({said})", scope="second")
    if code in _CREDENTIALS:
        return NotEntitled(f"{WHO} rejected the credentials for files ({code}): correct file_keys", status=status)
    if code == "RequestTimeTooSkewed":
        return BadRequest(
            f"{WHO} refused the signature, as this machine's clock is wrong: set the clock ({said})", status=status
        )
    if code in _ENTITLEMENT:
        return NotEntitled(
            f"{WHO}: the plan of this key does not include the file of {request.start}, or not for a session so long ago "
            f"({code}): upgrade the plan, or ask for grouped",
            status=status,
        )
    if code == "NoSuchKey" or (status == 404 and not text.strip()):
        return _not_there(request, reply)
    if code in ("NoSuchBucket", "InvalidBucketName"):
        return BadRequest(f"{WHO}'s S3 service has no such bucket ({said}): correct files_url", status=status)
    if code and status < 500:
        return BadRequest(f"{WHO} refused the call for the file of {request.start} ({code}): {said}", status=status)
    try:
        check_whole(reply, who=WHO)
    except FetchError as error:
        return error
    if status in (401, 403):
        return unknown_refusal(reply, who=WHO, symbol=f"the file of {request.start}")
    if status == 404:
        return BadRequest(f"{WHO}: the address is unknown (status 404): correct files_url", status=status)
    return Unavailable(f"{WHO} responded with status {status} to the call for the file of {request.start}", status=status)


def _not_there(request: Request, reply: HttpReply) -> FetchError:
    now = http_date(reply.headers.get("date", ""))
    if request.start is None or (now is not None and (now.date() - request.start).days > _SURELY_THERE_DAYS):
        return BadRequest(
            f"{WHO} has no file of {request.start}, and it is too old to come still: ask for that day with --dataset grouped",
            status=reply.status,
        )
    return NotYet(
        f"{WHO} has not published the file of {request.start} yet: it appears about 11:00 New York time on the next day",
        status=reply.status,
        retry_after_ms=_AGAIN_MS,
    )
