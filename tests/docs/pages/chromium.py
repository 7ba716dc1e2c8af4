"""A real browser, Debian's `chromium` without a window, told what to do over DevTools' pipe."""

from __future__ import annotations

import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

REQUIRE = "CARRIERD_REQUIRE_BROWSER"
ANSWERS_WITHIN = 20.0
"""Seconds until a command has its answer, a page its end, or the test fails."""
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host is known
    "--no-sandbox",  # which root cannot have; the pages are our own
    "--no-first-run",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=BackForwardCache,PaintHolding,Translate",
    "--disable-field-trial-config",
    "--password-store=basic",
)
# The pipe is descriptors 3 and 4; Chromium's launcher has a `sh` of its own anyway.
THROUGH_PIPE = 'exec "$@" 3<&0 4>&1 </dev/null >&2'


def missing() -> str | None:
    """What this machine lacks, or None."""
    return None if shutil.which("chromium") else "chromium not found on PATH"


def required() -> bool:
    return os.environ.get(REQUIRE) == "1"


class Chromium:
    """`with` runs one with one tab and a fresh profile in `home`, where its log is too."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.events: list[dict[str, Any]] = []
        """What the tab told since it was last emptied: console, requests, errors."""
        self._ids = itertools.count(1)
        self._session: str | None = None
        self._read = b""

    def __enter__(self) -> Self:
        command = ["chromium", *FLAGS, f"--user-data-dir={self.home / 'profile'}", "about:blank"]
        with (self.home / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", THROUGH_PIPE, "sh", *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                bufsize=0, env={**os.environ, "HOME": str(self.home)},
            )  # fmt: skip
        tabs = self.tell("Target.getTargets")["targetInfos"]
        tab = next(one["targetId"] for one in tabs if one["type"] == "page")
        self._session = self.tell("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()  # it ends with its pipe
        try:
            self._process.wait(ANSWERS_WITHIN)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and what it answers."""
        number = next(self._ids)
        command: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command).encode() + b"\0")
        until = time.monotonic() + ANSWERS_WITHIN
        while (answer := self._next(until)).get("id") != number:
            if "method" in answer:
                self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, address: str) -> None:
        """And wait until it is loaded, with all it loads."""
        self.events.clear()
        told = self.tell("Page.navigate", url=address)
        assert "errorText" not in told, f"{address}: {told['errorText']}"
        self.until("Page.loadEventFired")

    def until(self, event: str) -> None:
        """Wait until the tab has told this since `events` was last emptied."""
        until = time.monotonic() + ANSWERS_WITHIN
        while all(one["method"] != event for one in self.events):
            if "method" in (told := self._next(until)):  # no late answer
                self.events.append(told)

    def ask(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; a promise's when it has one."""
        told = self.tell(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of what the page shows there."""
        box = self.ask(f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{block: "center", behavior: "instant"}});
            const box = found.getClientRects()[0];
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for what in ("mousePressed", "mouseReleased"):
            self.tell(
                "Input.dispatchMouseEvent",
                type=what, x=box[0], y=box[1], button="left", clickCount=1,
            )  # fmt: skip

    def press_enter(self) -> None:
        for what in ("keyDown", "keyUp"):
            self.tell(
                "Input.dispatchKeyEvent",
                type=what, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r",
            )  # fmt: skip

    def errors(self) -> list[str]:
        """What its console shows in red since `events` was last emptied."""
        return [
            json.dumps(one["params"], ensure_ascii=False)
            for one in self.events
            if one["method"] == "Runtime.exceptionThrown"
            or (one["method"] == "Runtime.consoleAPICalled" and one["params"]["type"] == "error")
            or (one["method"] == "Log.entryAdded" and one["params"]["entry"]["level"] == "error")
        ]

    def requests(self) -> list[str]:
        """What was asked for since `events` was last emptied."""
        return [
            one["params"]["request"]["url"]
            for one in self.events
            if one["method"] == "Network.requestWillBeSent"
        ]

    def _next(self, until: float) -> dict[str, Any]:
        assert self._process.stdout
        while b"\0" not in self._read:
            left = max(0.0, until - time.monotonic())
            assert select.select([self._process.stdout], [], [], left)[0], self._said()
            read = os.read(self._process.stdout.fileno(), 1 << 20)
            assert read, self._said()
            self._read += read
        message, _, self._read = self._read.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def _said(self) -> str:
        return (self.home / "chromium.log").read_text(errors="replace")[-2000:] or "no answer"
