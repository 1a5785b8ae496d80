"""Responses that are sent in parts: a client that takes none of them for a while is cut, not buffered for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from anyio import CancelScope
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from marketfetch.exceptions import MarketfetchError
from marketfetch.storage.store_errors import StoreError

log = logging.getLogger("marketfetch.web")

#: How long a client may take for a part: the system's buffers for its connection are full all that time.
SEND_S: Final = 30.0


class Stream(StreamingResponse):
    """Sends `first`, which is what `parts` has yielded before, and the rest of `parts`.

    After SEND_S without progress the connection is cut, whatever is left to send. However the response ends, `parts` is closed
    behind it: a generator that is left at its `yield` would keep what it holds until Python's garbage collection finds it.
    """

    def __init__(
        self,
        first: bytes,
        parts: AsyncGenerator[bytes, None],
        *,
        send_s: float = SEND_S,
        ended: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> None:
        self._parts, self._send_s, self._ended = parts, send_s, ended
        self._whole = _from(first, parts)
        super().__init__(self._whole, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cut: Callable[[], None] = scope.get("state", {}).get("cut", lambda: None)
        was_cut = False

        async def in_time(message: Message) -> None:
            nonlocal was_cut
            try:
                async with asyncio.timeout(self._send_s):
                    await send(message)
            except TimeoutError:
                was_cut = True
                cut()
                raise OSError("the client takes nothing") from None

        try:
            await super().__call__(scope, receive, in_time)
        except (MarketfetchError, StoreError) as error:
            # The head is sent, so no refusal can be: without a last chunk the client reports that the response is cut.
            log.warning("a response is cut: %s: %s", scope.get("path", ""), error)
            cut()
            await asyncio.sleep(0)
        except Exception:
            if not was_cut:
                raise
            log.info("a client is cut, as it took nothing for %g s: %s", self._send_s, scope.get("path", ""))
            await asyncio.sleep(0)  # the server hears that the connection is gone, and misses no end of the response
        finally:
            with CancelScope(shield=True):
                try:
                    await self._whole.aclose()
                    await self._parts.aclose()
                finally:
                    self._ended()


async def _from(first: bytes, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for part in parts:
        yield part
