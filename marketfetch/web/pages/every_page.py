"""The routes of all pages."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from marketfetch.web.pages import (
    bar_pages,
    failure_pages,
    freshness_pages,
    job_pages,
    key_pages,
    live_route,
    page_files,
    schedule_pages,
    setting_pages,
    sign_in,
    submit_pages,
)

ROUTERS: Final[tuple[APIRouter, ...]] = tuple(
    one.router
    for one in (
        *(page_files, sign_in, live_route, setting_pages, submit_pages),
        *(job_pages, key_pages, failure_pages, bar_pages, freshness_pages, schedule_pages),
    )
)
