"""A wish is stored with whatever else the request writes, and enqueued only if all of that is committed."""

from __future__ import annotations

import json
from pathlib import Path

from django.db import transaction
from django.http import FileResponse, HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt

import marketfetch
from shop.models import Wish

PAGE = Path(__file__).parents[2] / "progress.html"


def page(_request: HttpRequest) -> FileResponse:
    return FileResponse(PAGE.open("rb"))


@csrf_exempt  # the example has no users; in an app with sessions leave the check on
def submit(request: HttpRequest) -> JsonResponse:
    try:
        asked = json.loads(request.body)
        wish = Wish.objects.create(symbols=list(asked["symbols"]), start=asked["start"], end=asked["end"])
    except (ValueError, TypeError, KeyError):
        return JsonResponse({"detail": "send a JSON object with a list of symbols, start and end"}, status=422)
    # Not in the transaction: a worker may be done before the commit, and a rollback can't take a job back. An error here
    # would lose no wish either: `robust` logs it, and the first look at the wish enqueues it again.
    transaction.on_commit(wish.enqueue, robust=True)
    return JsonResponse({"url": f"/jobs/{wish.pk}"}, status=201)


@transaction.non_atomic_requests
def progress(_request: HttpRequest, number: int) -> JsonResponse:
    try:
        wish = get_object_or_404(Wish, pk=number)
        wish.enqueue()
        if wish.refused:
            return JsonResponse({"detail": wish.refused}, status=422)
        job = marketfetch.status(wish.job)
    except marketfetch.UnknownJob as error:
        return JsonResponse({"detail": str(error)}, status=404)
    except marketfetch.UnavailableError as error:
        return JsonResponse({"detail": str(error)}, status=503)
    return JsonResponse(
        {"state": job.state, "total": job.requests.total, "over": job.requests.over, "rows": job.rows, "job": wish.job}
    )
