"""The life of a message as people read it."""

from __future__ import annotations

import io
from typing import Any

from daemon.cli.lifeline import lifeline
from daemon.cli.paint import Paint


def step(at: str | None, name: str, **more: Any) -> dict[str, Any]:
    stamp = f"2026-11-22T19:43:{at}+08:00" if at is not None else None
    return {
        "at": stamp, "step": name, "part": None, "attempt": None, "node": None, "code": None, **more
    }  # fmt: skip


def life(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "message": "j/0", "to": "13800138000", "state": "delivered", "final": True,
        "code": "DELIVRD", "account": "m", "carrier_ids": ["0x1"], "steps": list(steps), **more,
    }  # fmt: skip


def shown(*steps: dict[str, Any], **more: Any) -> list[str]:
    return list(lifeline(life(*steps, **more), Paint(io.StringIO())))


def test_every_step_says_how_long_it_took_and_the_end_how_long_all_did() -> None:
    lines = shown(
        step("59.568", "produced"),
        step("59.575", "received"),
        step("59.608", "written", part=1, attempt=1, node="m1"),
        step("59.999", "reported", part=1, attempt=1, node="m1", code="DELIVRD", matched="guess"),
    )
    assert lines == [
        "j/0  to 13800138000  delivered, DELIVRD",
        "  account m, carrier ids: 0x1",
        "  2026-11-22T19:43:59.568+08:00                produced",
        "  2026-11-22T19:43:59.575+08:00         +7 ms  received",
        "  2026-11-22T19:43:59.608+08:00        +33 ms  written       part 1, attempt 1, node m1",
        "  2026-11-22T19:43:59.999+08:00       +391 ms  reported      part 1, attempt 1, node m1,"
        " code DELIVRD, matched by guess",
        "                                       431 ms  in all",
    ]


def test_a_clock_that_runs_ahead_is_no_riddle() -> None:
    lines = shown(step("10.250", "produced"), step("10.000", "received"))
    assert lines[3].split()[1:3] == ["-250", "ms"]


def test_what_is_not_final_and_what_nobody_knows_the_time_of_is_said() -> None:
    lines = shown(step(None, "produced"), step("10.000", "received"), final=False, code=None)
    assert lines[0].endswith("delivered (not final)")
    assert lines[2].split() == ["-", "produced"]
