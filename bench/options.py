"""What a suite may be told on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True, frozen=True, kw_only=True)
class Options:
    """None leaves the choice to the suite."""

    bootstrap: str | None = None
    """A Kafka; without it the broker `local`."""
    stop: str | None = None
    """A shell command that stops that Kafka, and returns when it has stopped."""
    start: str | None = None
    """A shell command that starts it again."""
    directory: Path | None = None
    """Where state directories are made: the disk is part of what is measured."""
    seconds: float | None = None
    rate: float | None = None
    """Messages a second."""
    repeats: int | None = None
    restarts: int | None = None
    """Of the broker."""
    recipients: int = 1
    """Of every job."""
    most: int | None = None
    """Messages of the largest backlog."""
    full: bool = False
    protocols: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    """By name, see bench.faults."""
    report: Path | None = None
    """A directory to write the result to, and what can be drawn of it."""
    jasmin: Path | None = None
    """The Python interpreter of an environment that Jasmin is installed in."""
    netns: bool = False
    """With a network of its own between daemon and gateways."""
    kills: int | None = None
    terms: int | None = None
    """Restarts by SIGTERM."""
    hours: float | None = None
    compress: float | None = None
    """Every configured duration is divided by this."""
    note: Callable[[str], None] = lambda text: None
    """Told what is being done, for people who wait."""


class BenchError(Exception):
    """The suite could not be measured; the text says what happened."""
