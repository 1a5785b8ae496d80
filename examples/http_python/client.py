"""Plain HTTP from Python's standard library, with a progress bar in the terminal.

    python client.py AAPL MSFT           # beside `marketfetch serve`, or `marketfetch up --web`

MARKET_URL and MARKET_TOKEN name another server than this machine's, and a token of `marketfetch token create`. Exits
with 1 and the server's sentence: 503 while Redis or the database is away, 422 for a wrong wish, 404 for an unknown job.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

URL = os.environ.get("MARKET_URL", "http://127.0.0.1:8787")
TOKEN = os.environ.get("MARKET_TOKEN", "")


def ask(method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    """The JSON of a response. Raises HTTPError; its body is a problem document, whose `detail` is a sentence."""
    headers |= {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    headers["Content-Type"] = "application/json"
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{URL}/api/v1{path}", data, headers, method=method), timeout=30) as response:
        return json.load(response)


def main(symbols: list[str]) -> None:
    wish = {"provider": "polygon", "symbols": symbols, "start": "2024-01-02", "end": "2024-01-31"}
    # With the key, a wish that is sent again after a lost response is the same job.
    job = ask("POST", "/jobs", wish, **{"Idempotency-Key": str(uuid.uuid4())})["job"]
    while True:
        status = ask("GET", f"/jobs/{job}")
        total = status["requests"]["total"]
        over = status["requests"]["stored"] + status["requests"]["failed"]
        done = 30 * over // total if total else 30
        print(f"\r[{'#' * done:<30}] {over} of {total} requests, {status['rows']} rows", end="", flush=True)
        if status["state"] != "running":
            print(f": {status['state']}")
            return
        time.sleep(0.5)


if __name__ == "__main__":
    try:
        main(sys.argv[1:] or ["AAPL", "MSFT"])
    except HTTPError as error:
        sys.exit(f"{error.code}: {json.load(error)['detail']}")
    except URLError as error:
        sys.exit(f"no server at {URL} ({error.reason}): run `marketfetch serve`.")
