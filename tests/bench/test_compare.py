"""Two runs of one suite, side by side."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from bench import compare
from bench.compare import Target, differences, word
from bench.result import Result, at_least, at_most, none_of, report


def target(measured: float | None, low: float | None = None, high: float | None = None) -> Target:
    spread = None if low is None else [low, high]
    return Target(name="x", target=">= 1", measured=measured, spread=spread, met=True)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (target(100, 95, 105), target(104, 101, 110), "no change"),
        (target(100, 95, 105), target(120, 106, 125), "+20.0%"),
        (target(100, 95, 105), target(80, 75, 90), "-20.0%"),
        (target(100), target(101), "+1.0%"),
        (target(0), target(0), "no change"),
        (target(0), target(3), "from 0 to 3"),
        (target(None), target(3), "not measured"),
    ],
)
def test_a_change_is_one_where_the_spreads_do_not_meet(
    before: Target, after: Target, expected: str
) -> None:
    assert word(before, after) == expected


def test_another_machine_is_said_and_another_load_only_when_it_is_twice_as_high() -> None:
    before = {"cpu": "a", "load_before": 0.5, "cores": 2}
    assert list(differences(before, {"cpu": "a", "load_before": 0.7, "cores": 2})) == []
    assert list(differences(before, {"cpu": "b", "load_before": 1.5, "cores": 2})) == [
        "cpu: a before, b after",
        "load_before: 0.5 before, 1.5 after",
    ]


def test_what_a_report_wrote_is_read_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rate in (("before", 100.0), ("after", 250.0)):
        targets = [
            at_least("rate", 150, [rate - 1, rate, rate + 1], "messages/s"),
            at_most("latency", 5, [float("nan")], "ms"),
            none_of("lost", [0]),
        ]
        report(Result("s", {"seconds": 1}, {"cpu": name}, targets), tmp_path / name)
    files = [str(tmp_path / name / "s.json") for name in ("before", "after")]
    assert compare.main(files) == 0
    shown = capsys.readouterr().out
    assert "machine: cpu: before before, after after" in shown
    assert "+150.0%" in shown
    assert "no yes" in shown
    assert "not measured" in shown


def test_what_cannot_be_compared_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("s", "t"):
        report(Result(name, {}, {}, []), tmp_path)
    assert compare.main([str(tmp_path / "s.json"), str(tmp_path / "t.json")]) == 2
    assert "one is of s, the other of t" in capsys.readouterr().err
    (tmp_path / "u.json").write_bytes(orjson.dumps({"suite": "s"}))
    assert compare.main([str(tmp_path / "s.json"), str(tmp_path / "u.json")]) == 2
    assert "u.json: " in capsys.readouterr().err
    assert compare.main([str(tmp_path / "s.json"), str(tmp_path / "v.json")]) == 2
