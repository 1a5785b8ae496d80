"""Webhooks as https://www.standardwebhooks.com describes them: one POST of JSON, signed, without following a redirect."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from marketfetch.extras import need
from marketfetch.notify_sections import signing_key

_CONNECT_S, _REPLY_S = 5.0, 10.0
_MOST_REPLY_BYTES: Final = 500


class NotSent(Exception):
    """A target did not take an event. The message is a clause without a secret. `gone`: it wants no more of them (410)."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


def signature(secret: str, event_id: str, at_s: int, body: str) -> str:
    """The header `webhook-signature`: version 1, HMAC-SHA256 of `id.timestamp.body`."""
    signed = hmac.new(signing_key(secret), f"{event_id}.{at_s}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def send(url: str, event_id: str, body: str, *, secret: str, at_s: int) -> None:
    """Posts an event. `secret` "": without a signature. Raises NotSent for all but a reply of 200 to 299, and MissingExtra."""
    need("urllib3", for_what="A webhook")
    import urllib3

    headers = {"content-type": "application/json", "webhook-id": event_id, "webhook-timestamp": str(at_s)}
    if secret:
        headers["webhook-signature"] = signature(secret, event_id, at_s, body)
    timeout = urllib3.Timeout(connect=_CONNECT_S, read=_REPLY_S)
    with urllib3.PoolManager(num_pools=1) as pool:
        try:
            reply = pool.request(
                "POST",
                url,
                body=body.encode(),
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            # The library's words may have the URL, which may be a secret.
            raise NotSent(_why(error)) from None
        try:
            if 200 <= reply.status < 300:
                return
            said = reply.read(_MOST_REPLY_BYTES, decode_content=False).decode(errors="replace")
        except (urllib3.exceptions.HTTPError, OSError):
            said = ""
        finally:
            reply.close()
    if 300 <= reply.status < 400:
        raise NotSent(f"it redirects with {reply.status}, which is not followed: correct the url")
    words = " ".join(said.split())
    raise NotSent(f"it responds with {reply.status}{f': {words[:200]}' if words else ''}", gone=reply.status == 410)


def _why(error: Exception) -> str:
    """What has happened, from the name of the error alone."""
    name = type(error).__name__
    known = {
        "ConnectTimeoutError": "no connection within 5 s",
        "ReadTimeoutError": "no reply within 10 s",
        "NewConnectionError": "nothing listens there",
        "NameResolutionError": "its name is not known",
        "SSLError": "its certificate is not valid",
        "LocationParseError": "its url can't be read",
    }
    return known.get(name, f"the connection has failed ({name})")
