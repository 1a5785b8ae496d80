"""The pages in Chromium: live, readable without JavaScript, by keyboard, in both schemes and widths, and after an outage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from redis import Redis

from marketfetch import connections
from marketfetch.local.valkey_server import Valkey, start_valkey
from marketfetch.ops import access_tokens
from marketfetch.storage.store_errors import StoreUnavailable
from marketfetch.web.guards import AccessRules
from tests.web.page_scene import Scene, a_scene
from tests.web.page_server import chromium, serving
from tests.web.screenshots import WIDTHS, pages

pytestmark = pytest.mark.skipif(which("chromium") is None, reason="Chromium is not installed: apt-get install chromium")

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
#: The rules of WCAG 2.2 AA, and what axe holds for good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: Milliseconds; a loaded machine takes its time.
PATIENT = 60_000
expect.set_options(timeout=PATIENT)


@dataclass
class Place:
    address: str
    service: Any
    scene: Scene
    browser: Browser
    redis: Any
    valkey: Valkey

    def open(self, path: str, **options: Any) -> Page:
        page = self.browser.new_context(**options).new_page()
        page.set_default_timeout(PATIENT)
        page.goto(self.address + path)
        return page


@pytest.fixture(scope="module")
def place(tmp_path_factory: Any) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("pages_with_a_database_in_a_path_that_has_no_blank")
    with ExitStack() as stack:
        valkey = start_valkey(folder / "valkey")
        stack.callback(valkey.stop)  # also where what follows fails
        redis = stack.enter_context(Redis.from_url(valkey.url))
        scene = stack.enter_context(a_scene(redis, valkey.url, folder))
        address, service = stack.enter_context(serving(AccessRules()))
        place = Place(address, service, scene, stack.enter_context(chromium()), redis, valkey)
        stack.callback(lambda: place.valkey.stop())
        yield place


def test_every_page_passes_axe_and_fits_its_width(place):
    for width, scheme in (("wide", "light"), ("phone", "dark")):
        x, y = WIDTHS[width]
        context = place.browser.new_context(viewport={"width": x, "height": y}, color_scheme=scheme, bypass_csp=True)
        page = context.new_page()
        said: list[str] = []
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        for name, path in pages(place.scene).items():
            page.goto(place.address + path)
            page.evaluate(AXE)
            found = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
            wrong = [(one["id"], node["html"], node["failureSummary"]) for one in found["violations"] for node in one["nodes"]]
            assert wrong == [], (name, width, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= x, (name, width)
        assert said == []
        context.close()


def test_pages_break_no_policy_of_their_own(place):
    page = place.open("/keys")
    said: list[str] = []
    page.on("console", lambda one: said.append(one.text))
    for path in ("/", "/bars/polygon/AAPL?timespan=1d"):
        page.goto(place.address + path)
        page.wait_for_load_state("load")
    expect(page.locator("#chart")).to_have_attribute("data-drawn", "true")
    assert [one for one in said if "Content Security Policy" in one] == []
    page.context.close()


def test_dates_stay_in_one_line_and_buttons_do_not_touch(place):
    page = place.open("/settings", viewport={"width": 760, "height": 800})
    assert set(page.locator("td time").evaluate_all("all => all.map(one => one.getClientRects().length)")) == {1}
    page.goto(f"{place.address}/settings/one?name=universes.watchlist")
    assert _between(page.locator("form.lines button"), page.locator("details.sure summary")) >= 8
    page.goto(f"{place.address}/submit?provider=polygon&symbols=AAPL&start=2024-01-02&end=2024-01-05")
    page.get_by_role("button", name="Show what it would cost").click()
    button = page.get_by_role("button", name="Submit this job")
    assert _between(page.locator("ul.words"), button) >= 8
    assert _between(button, page.locator("select").first) >= 30
    page.context.close()


def _between(above: Locator, below: Locator) -> float:
    """Pixels between two things."""
    upper, lower = above.bounding_box(), below.bounding_box()
    assert upper
    assert lower
    return lower["y"] - upper["y"] - upper["height"]


#: Keeps the plot that the page makes.
KEPT_PLOT = """
Object.defineProperty(window, "uPlot", {configurable: true, set(made) {
    const kept = function (...all) { return (window.plot = new made(...all)); };
    Object.defineProperty(window, "uPlot", {value: Object.assign(kept, made)});
}});
"""


def test_bars_of_a_chart_lie_inside_of_it_and_volumes_below_the_prices(place):
    page = place.open("/keys")
    page.add_init_script(KEPT_PLOT)
    page.goto(place.address + "/bars/polygon/AAPL?timespan=1d")
    expect(page.locator("#chart")).to_have_attribute("data-drawn", "true")
    at = page.evaluate("""() => {
        const [ts, close, , , , volume] = plot.data, x = one => plot.valToPos(one, "x");
        return {first: x(ts[0]), last: x(ts.at(-1)), width: plot.over.clientWidth,
            lowest: plot.valToPos(Math.min(...close.filter(one => one !== null)), "y"),
            highest: plot.valToPos(Math.max(...volume), "volume")};
    }""")
    assert at["first"] >= 8
    assert at["last"] <= at["width"] - 8
    assert at["lowest"] < at["highest"], "the line of prices ends above the volumes"
    page.context.close()


def test_a_chart_is_drawn_again_and_read_by_keyboard(place):
    page = place.open("/bars/polygon/AAPL?timespan=1d")
    expect(page.locator("#chart")).to_have_attribute("data-drawn", "true")
    expect(page.locator("#chart > svg")).to_be_hidden()
    page.locator("#chart > div").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".u-legend")).to_contain_text("20")
    page.context.close()


def test_without_javascript_a_job_is_read_and_steered(place):
    page = place.open(f"/jobs/{place.scene.cancelled}", java_script_enabled=False)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".notice")).to_contain_text("parked that were not before")
    page.goto(place.address + "/bars/polygon/AAPL?timespan=1d")
    assert page.locator("#chart > svg polyline").count() >= 1
    page.context.close()


def test_the_keyboard_reaches_the_first_job(place):
    page = place.open("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # to the content
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('tbody') !== null"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    page.context.close()


def test_a_key_that_is_paused_elsewhere_shows_so_and_the_page_does_not_grow(place):
    page = place.open("/keys")
    gate = connections.gate("polygon")
    nodes = page.locator("*").count()
    for _ in range(3):
        gate.pause("main", pause_ms=600_000, why="paused by an operator")
        expect(page.locator("article", has_text="main").locator(".badge")).to_contain_text("paused")
        gate.resume("main")
        expect(page.locator("article", has_text="main").locator(".badge")).not_to_contain_text("paused")
    assert page.locator("*").count() <= nodes + 20
    page.context.close()


def test_a_page_left_open_for_a_day_stays_live_and_does_not_grow(place):
    page = place.open("/keys")
    page.clock.install()
    with page.expect_request("**/live?*"):
        page.reload()  # so that its timers are those of the clock
    connected: list[str] = []
    page.on("request", lambda one: connected.append(one.url) if "/live" in one.url else None)
    # The first hours compile what runs often.
    early, late = (_sizes_after(page, hours) for hours in (12, 12))
    # What is alive after the garbage is collected does not grow.
    assert late["Nodes"] <= early["Nodes"] + 2
    assert late["JSEventListeners"] <= early["JSEventListeners"] + 5
    assert late["JSHeapUsedSize"] <= early["JSHeapUsedSize"] * 1.25
    assert connected == []  # the connection of the morning
    badge = page.locator("article", has_text="main").locator(".badge")
    connections.gate("polygon").pause("main", pause_ms=600_000, why="paused by an operator")
    expect(badge).to_contain_text("paused")
    connections.gate("polygon").resume("main")
    expect(badge).not_to_contain_text("paused")
    page.context.close()


def _sizes_after(page: Page, hours: int) -> dict[str, float]:
    """What the page holds when so many hours have passed, in each of which it has asked for its changing part."""
    for _ in range(hours):
        with page.expect_response("**/keys"):
            page.clock.fast_forward("01:00:00")
    browser = page.context.new_cdp_session(page)
    browser.send("HeapProfiler.collectGarbage")
    browser.send("Performance.enable")
    found = {one["name"]: one["value"] for one in browser.send("Performance.getMetrics")["metrics"]}
    browser.detach()
    return found


def test_an_outage_is_said_and_heals_by_itself(place, monkeypatch):
    def away(*_: object) -> None:
        raise StoreUnavailable("the database is away")

    page = place.open("/")
    banner = page.locator("#banner")
    expect(banner).to_be_hidden()
    with monkeypatch.context() as patch:
        patch.setattr(connections.recorded().database, "read", away)
        expect(banner).to_contain_text("trying again")
        expect(page.locator("tbody")).to_contain_text("nightly-us")
    expect(banner).to_be_hidden()
    page.context.close()


def test_in_an_outage_the_page_says_from_when_its_content_is(place):
    page = place.open("/")
    page.clock.install()
    with page.expect_response("**/"):
        page.reload()
    page.route("**/*", lambda route: route.abort())
    loaded = page.evaluate("new Date().toISOString()")
    page.clock.fast_forward("01:00:00")
    banner = page.locator("#banner")
    expect(banner).to_contain_text("The server does not respond. What is shown is from ")
    at = banner.inner_text().split(" is from ")[1][:8]
    minutes = [60 * int(one[:2]) + int(one[3:5]) for one in (at, loaded[11:16])]
    assert abs(minutes[0] - minutes[1]) % 1438 <= 2, "not an hour later, when the outage was found"
    page.context.close()


def test_without_redis_the_page_says_so_and_recovers_by_itself(place):
    page = place.open("/")
    rows = page.locator("tbody")
    expect(rows).to_contain_text("nightly-us")
    place.valkey.stop()
    expect(page.locator("main")).to_contain_text("what runs is not known")
    expect(rows).to_contain_text("nightly-us")  # what the database knows stays
    keys = place.open("/keys")
    expect(keys.locator("body")).to_contain_text("so the keys' state is not known")
    place.valkey = start_valkey(place.valkey.folder, port=place.valkey.port)
    expect(page.locator("main")).not_to_contain_text("what runs is not known")
    expect(keys.locator("main")).to_contain_text("spare")
    for one in (page, keys):
        one.context.close()


def test_a_token_that_is_revoked_leads_to_the_sign_in(place):
    token = access_tokens.create("seen").token
    with serving(AccessRules(tokens_always=True)) as (address, _):
        page = place.browser.new_context().new_page()
        page.goto(f"{address}/keys")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/keys")
        expect(page.get_by_text("seen · read")).to_be_visible()
        access_tokens.revoke("seen")
        page.wait_for_url("**/sign-in?*", timeout=PATIENT)
        expect(page.get_by_text("revoked or has expired")).to_be_visible()
        page.context.close()
