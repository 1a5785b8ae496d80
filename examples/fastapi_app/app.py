"""A FastAPI app that enqueues market data and shows a progress bar.

    pip install 'marketfetch[serve]'
    uvicorn app:app --port 8000          # in this folder, beside a running `marketfetch up`; then http://127.0.0.1:8000

AsyncMarketfetch never blocks the event loop. Redis or the database away: 503; a wrong wish: 422; an unknown job: 404.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel

from marketfetch import AsyncMarketfetch, BadRequestError, MarketfetchError, UnavailableError, UnknownJob

PAGE = Path(__file__).parents[1] / "progress.html"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncMarketfetch() as app.state.marketfetch:
        yield


app = FastAPI(lifespan=lifespan)


def client(request: Request) -> AsyncMarketfetch:
    return request.app.state.marketfetch


Client = Annotated[AsyncMarketfetch, Depends(client)]


class Wish(BaseModel):
    symbols: list[str]
    start: str
    end: str


@app.exception_handler(MarketfetchError)
async def refused(_request: Request, error: MarketfetchError) -> JSONResponse:
    codes = {UnknownJob: 404, BadRequestError: 422, UnavailableError: 503}
    status = next((code for kind, code in codes.items() if isinstance(error, kind)), 500)
    return JSONResponse({"detail": str(error)}, status)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE)


@app.post("/jobs", status_code=201)
async def submit(wish: Wish, marketfetch: Client) -> dict[str, str]:
    job = await marketfetch.submit("polygon", wish.symbols, start=wish.start, end=wish.end)
    return {"url": f"/jobs/{job.job_id}"}


@app.get("/jobs/{job_id}")
async def progress(job_id: str, marketfetch: Client) -> dict[str, Any]:
    job = await marketfetch.status(job_id)
    return {"state": job.state, "total": job.requests.total, "over": job.requests.over, "rows": job.rows}
