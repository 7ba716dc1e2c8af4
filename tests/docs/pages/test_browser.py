"""What people see of the pages and do with them, in a real browser that reaches no other host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import pytest

from .chromium import Chromium

PHONE = 390
"""Pixels across."""
DESK = 1440
CHINESE = "getting-started.zh"

# Too wide is what reaches over the edge and is in no box that scrolls: nobody can read its end.
LOOK = """(() => {
    const scrolls = (one) => ["auto", "scroll"].includes(getComputedStyle(one).overflowX);
    const held = (one) => one.tagName !== "ARTICLE" && (scrolls(one) || held(one.parentElement));
    const over = [...document.querySelectorAll("article *")].filter(
        (one) => one.getBoundingClientRect().right > innerWidth + 0.5);
    return {
        title: document.title,
        heading: document.querySelector("article h1")?.firstChild.textContent ?? "",
        language: document.documentElement.lang,
        text: document.body.innerText,
        width: Math.max(innerWidth, document.documentElement.scrollWidth),
        held: over.filter(held).length,
        over: over.filter((one) => !held(one)).map((one) => one.outerHTML.slice(0, 200)),
        links: [...document.querySelectorAll("a[href]")].map((one) => one.href),
        anchors: [...document.querySelectorAll("[id]")].map((one) => one.id),
    };
})()"""

# The text of the heading that the address names, once the page has scrolled there.
IN_VIEW = """new Promise((tell) => {
    const look = () => {
        const named = document.querySelector(":target");
        const top = named?.getBoundingClientRect().top ?? -1;
        if (0 <= Math.ceil(top) && top < innerHeight)
            tell((named.querySelector("h1, h2, h3") ?? named).firstChild.textContent);
        else requestAnimationFrame(look);
    };
    look();
})"""
# What the search lists, once it says that it is done and, where it can, has quoted every page.
FOUND = """new Promise((tell) => {
    const look = () => {
        const found = [...document.querySelectorAll("ul.search > li")].map((one) => ({
            title: one.querySelector("a").innerText,
            quote: one.querySelector(".context")?.innerText,
        }));
        const done = document.querySelector(".search-summary")?.innerText;
        const quoted = location.protocol === "file:" || found.every((one) => one.quote);
        if (done && quoted) tell(found);
        else requestAnimationFrame(look);
    };
    look();
})"""


@dataclass(frozen=True)
class Page:
    """As a phone shows it."""

    title: str
    heading: str
    language: str
    text: str
    width: int
    """Pixels across, of the window and of what can be scrolled to."""
    held: int
    """How much reaches over the edge in a box of its own that scrolls."""
    over: list[str]
    """What reaches over the edge."""
    links: list[str]
    anchors: list[str]
    errors: list[str]
    requests: list[str]


def wide(browser: Chromium, width: int) -> None:
    browser.tell(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=844, deviceScaleFactor=1, mobile=width == PHONE,
    )  # fmt: skip


def looked_at(browser: Chromium, address: str) -> Page:
    browser.open(address)
    page: dict[str, Any] = browser.ask(LOOK)
    return Page(**page, errors=browser.errors(), requests=browser.requests())


@pytest.fixture(scope="module")
def pages(browser: Chromium, built: Path) -> dict[str, Page]:
    """The index and every page that it links, by address."""
    wide(browser, PHONE)
    index = (built / "index.html").as_uri()
    seen = {index: looked_at(browser, index)}
    for link in seen[index].links:
        address = link.partition("#")[0]
        if address.startswith(built.as_uri()) and address not in seen:
            seen[address] = looked_at(browser, address)
    assert len(seen) > 50
    return seen


@pytest.fixture
def desk(browser: Chromium) -> Chromium:
    """Wide enough to have the navigation beside the text."""
    wide(browser, DESK)
    return browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: the browser says what was asked."""


@pytest.fixture(scope="module", params=["files", "a server"])
def home(request: pytest.FixtureRequest, built: Path) -> Iterator[str]:
    """Where the pages are: opened as files, and from a server."""
    if request.param == "files":
        yield built.as_uri()
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=built)) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def test_every_page_shows_its_heading(pages: dict[str, Page]) -> None:
    for address, page in pages.items():
        assert page.heading, address
        assert page.title.startswith(page.heading), address
        assert page.heading in page.text, address


def test_no_page_has_an_error_in_the_console(pages: dict[str, Page]) -> None:
    assert {address: page.errors for address, page in pages.items() if page.errors} == {}


def test_no_page_asks_another_host_for_anything(pages: dict[str, Page], built: Path) -> None:
    for address, page in pages.items():
        fetched = [one for one in page.requests if not one.startswith("data:")]
        assert len(fetched) > 3, address
        assert [one for one in fetched if not one.startswith(built.as_uri())] == [], address


def test_every_page_can_be_read_on_a_phone(pages: dict[str, Page]) -> None:
    for address, page in pages.items():
        assert page.over == [], address
        assert page.width == PHONE, address
    assert sum(page.held for page in pages.values()) > 0, "no page has a wide table or long line"


def test_the_chinese_page_shows_chinese(pages: dict[str, Page], built: Path) -> None:
    page = pages[(built / f"{CHINESE}.html").as_uri()]
    assert page.heading == "快速上手"
    assert "一条长短信，一条失败的短信" in page.text
    assert "\N{REPLACEMENT CHARACTER}" not in page.text
    assert page.language == "zh-CN"  # the same character looks different in Japanese


def test_every_link_leads_to_a_page_with_that_heading(pages: dict[str, Page], built: Path) -> None:
    headings = 0
    for address, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if target in pages and anchor:
                assert unquote(anchor) in pages[target].anchors, f"{address}: {link}"
                headings += 1
            elif target not in pages and target.startswith("file:"):  # to keep
                file = Path(unquote(target.removeprefix("file://")))
                assert file.is_relative_to(built), f"{address}: {link}"
                assert file.is_file(), f"{address}: {link}"
    assert headings > 100


@pytest.mark.parametrize("place", ["article", ".sidebar-tree"])
def test_a_clicked_link_opens_its_page(desk: Chromium, built: Path, place: str) -> None:
    desk.open((built / "index.html").as_uri())
    desk.events.clear()
    desk.click(f"{place} a[href='capacity.html']")
    desk.until("Page.loadEventFired")
    assert desk.ask("location.href") == (built / "capacity.html").as_uri()
    assert desk.errors() == []


def test_a_click_in_the_contents_shows_that_heading(desk: Chromium, built: Path) -> None:
    desk.open((built / f"{CHINESE}.html").as_uri())
    desk.click(".toc-tree li li:last-child > a")
    heading = desk.ask(IN_VIEW)
    assert heading
    assert heading in desk.ask("document.querySelector('.toc-tree li li:last-child').innerText")


def test_a_clicked_link_to_a_heading_of_another_page_shows_it(
    desk: Chromium, pages: dict[str, Page]
) -> None:
    links = [
        (address, link)
        for address, page in pages.items()
        for link in page.links
        if "#" in link and link.startswith("file:") and link.partition("#")[0] != address
    ]
    assert links, "no page names a heading of another"
    address, link = links[0]
    desk.open(address)
    desk.events.clear()
    desk.click(f"article a[href$='{link.rpartition('/')[2]}']")
    desk.until("Page.loadEventFired")
    assert desk.ask("location.href") == link
    assert desk.ask(IN_VIEW)


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("in doubt", "5. What was not answered is held, not sent again"),
        ("状态报告", "快速上手"),
        ("号码", "快速上手"),  # two characters, and never alone between punctuation marks
    ],
)
def test_the_search_finds(desk: Chromium, home: str, words: str, title: str) -> None:
    desk.open(f"{home}/index.html")
    desk.click(".sidebar-search")
    desk.tell("Input.insertText", text=words)
    desk.events.clear()
    desk.press_enter()
    desk.until("Page.loadEventFired")
    found = desk.ask(FOUND)
    assert title in [one["title"] for one in found]
    if home.startswith("http"):  # files may not read each other
        assert words.split()[-1] in next(one["quote"] for one in found if one["title"] == title)
    assert desk.errors() == []
    assert [one for one in desk.requests() if not one.startswith((f"{home}/", "data:"))] == []
