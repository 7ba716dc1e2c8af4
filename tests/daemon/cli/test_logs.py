"""Log lines: JSON on stderr, and no phone number whole."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog

from daemon.logs import configure, masked


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_one_json_object_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    structlog.get_logger().info("bound", account="xz-mobile", node="nj-1", binds=2)
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "bound",
        "level": "info",
        "account": "xz-mobile",
        "node": "nj-1",
        "binds": 2,
    }


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_a_threshold(
    level: str, seen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(level)
    log = structlog.get_logger()
    for one in ("debug", "info", "warning", "error"):
        getattr(log, one)("x")
    assert [line["level"] for line in lines(capsys)] == seen


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    logging.getLogger("aiokafka").warning("no broker at %s", "127.0.0.1:9092")
    logging.getLogger("aiokafka").info("not worth a line")
    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("no broker at 127.0.0.1:9092", "warning")


def test_an_exception_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    try:
        raise ValueError("13912345678 is no number")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines(capsys)
    assert "ValueError: 139****5678 is no number" in line["exception"]


def test_phone_numbers_are_masked_wherever_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    structlog.get_logger().info(
        "sent to 13912345678", to=["+8613912345678"], where={"to": "008613912345678"}, n=3
    )
    (line,) = lines(capsys)
    assert "12345678" not in json.dumps(line)
    assert line["event"] == "sent to 139****5678"
    assert line["to"] == ["139****5678"]
    assert line["n"] == 3


def test_other_digits_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    structlog.get_logger().info(
        "x", port="127.0.0.1:17890", number="106575257777", at="1795305600000"
    )
    (line,) = lines(capsys)
    assert (line["number"], line["at"]) == ("106575257777", "1795305600000")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("13912345678", "139****5678"),
        ("1064812345678", "106******5678"),
        ("12345678", "123*5678"),
        ("1234567", "*******"),
        ("", ""),
    ],
)
def test_masked_keeps_three_and_four_digits(number: str, shown: str) -> None:
    assert masked(number) == shown
