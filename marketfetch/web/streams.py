"""Responses that are sent in parts: a client that takes none of them for a while is cut, not buffered for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

#: How long a client may take for a part: the system's buffers for its connection are full all that time.
SEND_S: Final = 30.0


class Stream(StreamingResponse):
    """Sends what `parts` yields. After SEND_S without progress the connection is cut, whatever is left to send."""

    def __init__(self, parts: AsyncIterator[bytes], *, send_s: float = SEND_S, **options: Any) -> None:
        super().__init__(parts, **options)
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cut: Callable[[], None] = scope.get("state", {}).get("cut", lambda: None)

        async def in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self._send_s):
                    await send(message)
            except TimeoutError:
                cut()
                raise OSError("the client takes nothing") from None

        await super().__call__(scope, receive, in_time)
