"""The body of `/status` as a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from daemon.cli.lasting import lasting
from daemon.cli.paint import Paint

HEADER = ("", "state", "since", "waiting", "uncertain", "parked", "rate", "window", "why")
FIGURES = range(3, 8)
COLOURS = {"bound": "green", "idle": "green", "refused": "red", "backoff": "red"}

Row = tuple[tuple[str, ...], str]
"""The cells, and the colour of the state."""


def board(status: dict[str, Any], now: float, paint: Paint, width: int | None) -> Iterator[str]:
    """Lines, cut to a width where there is one; `now` is wall time."""
    yield _head(status, now, paint)
    rows = [row for account in status["accounts"] for row in _account(account, now)]
    widths = [max(map(len, column)) for column in zip(HEADER, *(r[0] for r in rows), strict=True)]
    for at, (cells, colour) in enumerate([(HEADER, ""), *rows]):
        padded = [
            cell.rjust(size) if place in FIGURES else cell.ljust(size)
            for place, (cell, size) in enumerate(zip(cells, widths, strict=True))
        ]
        if width is not None:
            room = width - sum(map(len, padded[:-1])) - 2 * (len(padded) - 1)
            padded[-1] = padded[-1][: max(0, room)]
        padded[-1] = padded[-1].rstrip()
        if not at:
            yield paint("  ".join(padded), "dim")
            continue
        whole = not cells[0].startswith(" ")
        padded[0] = paint(padded[0], "bold" if whole else "")
        padded[1] = paint(padded[1], colour)
        padded[-1] = paint(padded[-1], "yellow")
        yield "  ".join(padded).rstrip()


def _head(status: dict[str, Any], now: float, paint: Paint) -> str:
    up = _since(status["since"], now)
    head = f"carrierd {status['name']} {status['version']}, up {up}"
    wrong = "; ".join(status["not_ready"])
    return f"{head}, " + (paint(f"not ready: {wrong}", "red") if wrong else paint("ready", "green"))


def _account(account: dict[str, Any], now: float) -> Iterator[Row]:
    binds = [bind for node in account["nodes"] for bind in node["binds"]]
    used = sum(bind["window_in_use"] for bind in binds)
    most = sum(bind["window"] for bind in binds if bind["mode"] != "rx")
    up = sum(bind["state"] in ("bound", "idle") for bind in binds)
    colour = "green" if up == len(binds) else "yellow" if up else "red"
    rate = f"{account['rate_now']:g}/{account['rate']:g}"
    yield (
        (
            f"{account['name']} ({account['carrier']}, {account['protocol']})",
            f"{up}/{len(binds)} up",
            "",
            str(account["waiting"]),
            str(account["uncertain"]),
            str(account["parked"]),
            rate,
            f"{used}/{most}",
            _why(account["why"], account["held"], now),
        ),
        colour,
    )
    for node in account["nodes"]:
        several = len(node["binds"]) > 1
        for bind in node["binds"]:
            yield _bind(node, bind, several, now)
        if not node["binds"]:
            yield ((f"  {node['name']}", "no binds", "", "", "", "", "", "", ""), "")


def _bind(node: dict[str, Any], bind: dict[str, Any], several: bool, now: float) -> Row:
    name = f"  {node['name']}"
    if several:
        name += f"#{bind['number']}"
    if bind["mode"] != "trx":
        name += f" {bind['mode']}"
    why = _why(bind["why"], node["held"], now)
    if bind["state"] not in ("bound", "idle") and bind["last_error"]:
        why = f"{why}: {bind['last_error']}" if why else bind["last_error"]
    cells = (
        f"{name} {node['host']}:{node['port']}",
        bind["state"],
        _since(bind["since"], now),
        "",
        "",
        "",
        "",
        f"{bind['window_in_use']}/{bind['window']}",
        why,
    )
    return cells, COLOURS.get(bind["state"], "yellow")


def _why(why: str | None, held: dict[str, Any] | None, now: float) -> str:
    if held is None:
        return why or ""
    said = f"{held['how']} {_since(held['since'], now)} ago by uid {held['uid']}"
    return said if why in (None, held["how"]) else f"{why}; {said}"


def _since(stamp: str, now: float) -> str:
    """In whole seconds; our clock and the daemon's may differ a little."""
    seconds = round(now - datetime.fromisoformat(stamp).timestamp())
    return lasting(seconds) if seconds > 0 else "0 s"
