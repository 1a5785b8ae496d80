"""A script that sleeps between its calls, as long as the limit says."""

from __future__ import annotations

import time

import requests

from benchmarks.otherwise.wish import COUNT, SYMBOLS, WINDOW_S, append, headers, url


def main() -> None:
    with requests.Session() as session:
        for symbol in SYMBOLS:
            try:
                reply = session.get(url(symbol), headers=headers(), timeout=10)
                reply.raise_for_status()
                append(symbol, reply.json())
            except requests.RequestException as error:
                print(f"{symbol}: {error}")
            time.sleep(WINDOW_S / COUNT)  # noqa: TID251 (what this kind of script does)


if __name__ == "__main__":
    main()
