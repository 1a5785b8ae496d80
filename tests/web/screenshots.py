"""`python -m tests.web.screenshots [FOLDER]`: the pictures of docs/images; or, into a folder, every page in every form."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis

from marketfetch.local.valkey_server import start_valkey
from marketfetch.web.guards import AccessRules
from tests.web.page_scene import Scene, a_scene
from tests.web.page_server import chromium, serving

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTHS = {"wide": (1280, 800), "phone": (390, 844)}


def pages(scene: Scene) -> dict[str, str]:
    """Each page of the scene by a name."""
    return {
        "jobs": "/",
        "job": f"/jobs/{scene.running}",
        "job-failed": f"/jobs/{scene.failed}",
        "keys": "/keys",
        "failures": "/failures",
        "bars": "/bars",
        "chart": "/bars/polygon/AAPL?timespan=1d&adjustment=raw",
        "freshness": "/freshness",
        "schedules": "/schedules",
        "settings": "/settings",
        "setting": "/settings/one?name=universes.watchlist",
        "submit": "/submit?provider=polygon&symbols=AAPL+MSFT",
        "no-job": "/jobs/nope",
    }


#: The pictures of the documentation: page, width, scheme.
DOCUMENTED = [
    ("jobs", "wide", "light"),
    ("keys", "wide", "dark"),
    ("failures", "wide", "light"),
    ("chart", "wide", "light"),
    ("freshness", "wide", "light"),
    ("settings", "wide", "light"),
    ("job", "phone", "dark"),
]


@contextmanager
def furnished() -> Iterator[tuple[str, Scene]]:
    """A server with the scene."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(start_valkey(folder)).url
        redis = stack.enter_context(Redis.from_url(url))
        scene = stack.enter_context(a_scene(redis, url, folder))
        address, _ = stack.enter_context(serving(AccessRules()))
        yield address, scene


def main(folder: Path | None) -> None:
    chosen = set(DOCUMENTED)
    with furnished() as (address, scene), chromium() as browser:
        for width, (x, y) in WIDTHS.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": x, "height": y}, color_scheme=scheme)
                page = context.new_page()
                page.on("console", lambda one: print(one.text))
                for name, path in pages(scene).items():
                    if not folder and (name, width, scheme) not in chosen:
                        continue
                    page.goto(address + path)
                    page.wait_for_timeout(1500)
                    to = folder / f"{name}-{width}-{scheme}.png" if folder else IMAGES / f"page-{name}-{width}-{scheme}.png"
                    page.screenshot(path=to, full_page=folder is not None)
                context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None)
