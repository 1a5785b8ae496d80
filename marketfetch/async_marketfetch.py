"""The public functions for async apps: the same names, arguments, values and errors, and an event loop that is never blocked.

    async with AsyncMarketfetch() as mf:
        job = await mf.submit(VENDOR, ["AAPL", "MSFT"], start="2024-01-02", end="2024-01-31")
        async for status in mf.watch(job.job_id):
            print(status.requests.stored, "of", status.requests.total)
        frame = await mf.bars(["AAPL", "MSFT"])

Each call runs the public function in a thread of this object's own, so that the app's own threads stay free; waits are waits
of the event loop and hold no thread. docs/decisions/0031-async-apps.md says why threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import date
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, overload

from marketfetch.frames import bar_frames, record_frames
from marketfetch.jobs import forecast, job_list, job_status, steering, submission, updating
from marketfetch.jobs.forecast import Forecast
from marketfetch.jobs.job_values import JobStatus, JobSummary
from marketfetch.jobs.submission import Submitted
from marketfetch.schemas.job_spec import NORMAL

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from marketfetch.frames.date_bounds import Asked

P = ParamSpec("P")
T = TypeVar("T")


class AsyncMarketfetch:
    """The public functions of `marketfetch` as coroutines, for one event loop.

    `threads`: how many calls run at once; further ones wait their turn. A cancelled call that has not begun never begins; one
    that has begun ends by itself, and leaving the `async with` block waits for it. So a `submit` that is cancelled may have
    recorded its job: the same arguments within the minute are the same job.
    """

    def __init__(self, *, threads: int = 4) -> None:
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="marketfetch")
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the threads, once the calls that run have ended. A call after this raises RuntimeError."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def submit(
        self,
        provider: str,
        symbols: Sequence[str],
        *,
        start: date | str | None = None,
        end: date | str | None = None,
        timespan: str = "1d",
        dataset: str = "bars",
        adjustment: str | None = None,
        again: bool = False,
        priority: int = NORMAL,
        by_symbol: bool = False,
        owner: str | None = None,
        keys_without_owner: bool = False,
        name: str = "",
        tags: Sequence[str] = (),
        on_over: Mapping[str, object] | None = None,
    ) -> Submitted:
        """`marketfetch.submit`: records a job and returns; workers fetch it."""
        return await self._run(
            submission.submit,
            provider,
            symbols,
            start=start,
            end=end,
            timespan=timespan,
            dataset=dataset,
            adjustment=adjustment,
            again=again,
            priority=priority,
            by_symbol=by_symbol,
            owner=owner,
            keys_without_owner=keys_without_owner,
            name=name,
            tags=tags,
            on_over=on_over,
        )

    async def update(
        self,
        provider: str,
        symbols: Sequence[str],
        *,
        last: str = updating.LAST,
        timespan: str = "1d",
        dataset: str = "bars",
        adjustment: str | None = None,
        priority: int = NORMAL,
        by_symbol: bool = False,
        owner: str | None = None,
        keys_without_owner: bool = False,
        name: str = "",
        tags: Sequence[str] = (),
        on_over: Mapping[str, object] | None = None,
    ) -> Submitted:
        """`marketfetch.update`: submits the last sessions of these symbols, less what is stored and final."""
        return await self._run(
            updating.update,
            provider,
            symbols,
            last=last,
            timespan=timespan,
            dataset=dataset,
            adjustment=adjustment,
            priority=priority,
            by_symbol=by_symbol,
            owner=owner,
            keys_without_owner=keys_without_owner,
            name=name,
            tags=tags,
            on_over=on_over,
        )

    async def plan(
        self,
        provider: str,
        symbols: Sequence[str],
        *,
        start: date | str | None = None,
        end: date | str | None = None,
        timespan: str = "1d",
        dataset: str = "bars",
        adjustment: str | None = None,
        again: bool = False,
        priority: int = NORMAL,
        by_symbol: bool = False,
        owner: str | None = None,
        keys_without_owner: bool = False,
    ) -> Forecast:
        """`marketfetch.plan`: what `submit` with these arguments would cost at this moment."""
        return await self._run(
            forecast.plan,
            provider,
            symbols,
            start=start,
            end=end,
            timespan=timespan,
            dataset=dataset,
            adjustment=adjustment,
            again=again,
            priority=priority,
            by_symbol=by_symbol,
            owner=owner,
            keys_without_owner=keys_without_owner,
        )

    async def status(self, job_id: str) -> JobStatus:
        """`marketfetch.status`: the state of a job at this moment."""
        return await self._run(job_status.status, job_id)

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobStatus:
        """`marketfetch.wait`: the final status of a job once it is over. Raises TimeoutError after `timeout_s` seconds."""
        clock = asyncio.get_running_loop().time
        asked = clock()
        deadline = steering.deadline_of(timeout_s, asked)
        while True:
            began = clock()
            found = await self.status(job_id)
            if found.state != "running":
                return found
            pause_s = steering.pause_s(clock() - began, waited_s=began - asked)
            if timeout_s is not None and deadline is not None and clock() + pause_s > deadline:
                raise steering.not_over(found, timeout_s)
            await asyncio.sleep(pause_s)

    async def watch(self, job_id: str) -> AsyncIterator[JobStatus]:
        """Yields the status of a job now, whenever it has changed, and last when the job is over. Raises as `status` does.

        A change of `eta_seconds` alone is none.
        """
        clock, last = asyncio.get_running_loop().time, None
        asked = clock()
        while True:
            began = clock()
            found = await self.status(job_id)
            pause_s = steering.pause_s(clock() - began, waited_s=began - asked)
            seen = found.model_copy(update={"eta_seconds": None})
            if seen != last:
                last = seen
                yield found
            if found.state != "running":
                return
            await asyncio.sleep(pause_s)

    async def cancel(self, job_id: str) -> JobStatus:
        """`marketfetch.cancel`: stops a job; returns the status after that."""
        return await self._run(steering.cancel, job_id)

    async def resume(self, job_id: str) -> int:
        """`marketfetch.resume`: parks at once what a job still has to do; returns how many requests were not parked before."""
        return await self._run(steering.resume, job_id)

    async def retry(self, job_id: str) -> int:
        """`marketfetch.retry`: parks the failed requests of a job again; returns how many they are."""
        return await self._run(steering.retry, job_id)

    async def list_jobs(self, limit: int = 20, *, owner: str = "", tag: str = "", failed: bool = False) -> list[JobSummary]:
        """`marketfetch.list_jobs`: the latest jobs, newest first."""
        return await self._run(job_list.list_jobs, limit, owner=owner, tag=tag, failed=failed)

    @overload
    async def bars(
        self,
        symbols: str | Sequence[str],
        *,
        start: Asked = ...,
        end: Asked = ...,
        timespan: str = ...,
        provider: str | None = ...,
        adjustment: str | None = ...,
        adjust: Literal["none", "splits", "all"] | None = ...,
        as_of: date | str | None = ...,
        columns: Sequence[str] | None = ...,
        as_: Literal["polars"] = ...,
    ) -> pl.DataFrame: ...

    @overload
    async def bars(
        self,
        symbols: str | Sequence[str],
        *,
        start: Asked = ...,
        end: Asked = ...,
        timespan: str = ...,
        provider: str | None = ...,
        adjustment: str | None = ...,
        adjust: Literal["none", "splits", "all"] | None = ...,
        as_of: date | str | None = ...,
        columns: Sequence[str] | None = ...,
        as_: Literal["pandas"],
    ) -> pd.DataFrame: ...

    @overload
    async def bars(
        self,
        symbols: str | Sequence[str],
        *,
        start: Asked = ...,
        end: Asked = ...,
        timespan: str = ...,
        provider: str | None = ...,
        adjustment: str | None = ...,
        adjust: Literal["none", "splits", "all"] | None = ...,
        as_of: date | str | None = ...,
        columns: Sequence[str] | None = ...,
        as_: Literal["arrow"],
    ) -> pa.Table: ...

    async def bars(
        self,
        symbols: str | Sequence[str],
        *,
        start: Asked = None,
        end: Asked = None,
        timespan: str = "1d",
        provider: str | None = None,
        adjustment: str | None = None,
        adjust: Literal["none", "splits", "all"] | None = None,
        as_of: date | str | None = None,
        columns: Sequence[str] | None = None,
        as_: Literal["polars", "pandas", "arrow"] = "polars",
    ) -> pl.DataFrame | pd.DataFrame | pa.Table:
        """`marketfetch.bars`: stored bars as a table."""
        read: Callable[..., Any] = bar_frames.bars
        found: pl.DataFrame | pd.DataFrame | pa.Table = await self._run(
            read,
            symbols,
            start=start,
            end=end,
            timespan=timespan,
            provider=provider,
            adjustment=adjustment,
            adjust=adjust,
            as_of=as_of,
            columns=columns,
            as_=as_,
        )
        return found

    @overload
    async def records(
        self,
        dataset: str,
        *,
        provider: str | None = ...,
        symbols: str | Sequence[str] | None = ...,
        start: date | str | None = ...,
        end: date | str | None = ...,
        as_of: date | str | None = ...,
        gone: bool = ...,
        as_: Literal["polars"] = ...,
    ) -> pl.DataFrame: ...

    @overload
    async def records(
        self,
        dataset: str,
        *,
        provider: str | None = ...,
        symbols: str | Sequence[str] | None = ...,
        start: date | str | None = ...,
        end: date | str | None = ...,
        as_of: date | str | None = ...,
        gone: bool = ...,
        as_: Literal["pandas"],
    ) -> pd.DataFrame: ...

    @overload
    async def records(
        self,
        dataset: str,
        *,
        provider: str | None = ...,
        symbols: str | Sequence[str] | None = ...,
        start: date | str | None = ...,
        end: date | str | None = ...,
        as_of: date | str | None = ...,
        gone: bool = ...,
        as_: Literal["arrow"],
    ) -> pa.Table: ...

    @overload
    async def records(
        self,
        dataset: str,
        *,
        provider: str | None = ...,
        symbols: str | Sequence[str] | None = ...,
        start: date | str | None = ...,
        end: date | str | None = ...,
        as_of: date | str | None = ...,
        gone: bool = ...,
        as_: Literal["rows"],
    ) -> list[dict[str, str | float | date | None]]: ...

    async def records(
        self,
        dataset: str,
        *,
        provider: str | None = None,
        symbols: str | Sequence[str] | None = None,
        start: date | str | None = None,
        end: date | str | None = None,
        as_of: date | str | None = None,
        gone: bool = False,
        as_: Literal["polars", "pandas", "arrow", "rows"] = "polars",
    ) -> pl.DataFrame | pd.DataFrame | pa.Table | list[dict[str, str | float | date | None]]:
        """`marketfetch.records`: stored splits, dividends and other records."""
        read: Callable[..., Any] = record_frames.records
        found: pl.DataFrame | pd.DataFrame | pa.Table | list[dict[str, str | float | date | None]] = await self._run(
            read, dataset, provider=provider, symbols=symbols, start=start, end=end, as_of=as_of, gone=gone, as_=as_
        )
        return found

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a public function in one of the threads."""
        if self._closed:
            raise RuntimeError("this AsyncMarketfetch is closed: make another one")
        call = partial(copy_context().run, partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
