"""A Flask app that enqueues market data and shows a progress bar.

    pip install marketfetch flask
    flask --app app run --port 8000      # in this folder, beside a running `marketfetch up`; then http://127.0.0.1:8000

Redis or the database away: 503; a wrong wish: 422; an unknown job: 404.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, Response, request, send_file
from werkzeug.exceptions import HTTPException

import marketfetch
from marketfetch import BadRequestError, MarketfetchError, UnavailableError, UnknownJob

PAGE = Path(__file__).parents[1] / "progress.html"
STATUS = {UnknownJob: 404, BadRequestError: 422, UnavailableError: 503}

app = Flask(__name__)


@app.errorhandler(MarketfetchError)
def refused(error: MarketfetchError) -> tuple[dict[str, str], int]:
    return {"detail": str(error)}, next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


@app.errorhandler(HTTPException)
def wrong(error: HTTPException) -> tuple[dict[str, str | None], int | None]:
    return {"detail": error.description}, error.code


@app.get("/")
def page() -> Response:
    return send_file(PAGE)


@app.post("/jobs")
def submit() -> tuple[dict[str, str], int]:
    wish = request.get_json()
    if not isinstance(wish, dict) or not isinstance(wish.get("symbols"), list):
        return {"detail": "send a JSON object with a list of symbols, start and end"}, 422
    job = marketfetch.submit("polygon", wish["symbols"], start=wish.get("start"), end=wish.get("end"))
    return {"url": f"/jobs/{job.job_id}"}, 201


@app.get("/jobs/<job_id>")
def progress(job_id: str) -> dict[str, Any]:
    job = marketfetch.status(job_id)
    return {"state": job.state, "total": job.requests.total, "over": job.requests.over, "rows": job.rows}
