"""Logs: one JSON line on stderr per thing that happened to the process or a bind.

Never one per message, and never a message's text or a password.  Phone numbers are shown as
`139****5678`: `masked` where the code knows that it has one, and a processor for those that
reach a line by way of an error text.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

LEVELS = ("debug", "info", "warning", "error")

# A mobile number of the mainland, bare or in international form, that is no part of a longer one.
_NUMBER = re.compile(r"(?<!\d)(?:\+?86|0086)?(1[3-9]\d)\d{4}(\d{4})(?!\d)")


def masked(number: str) -> str:
    """The number with its middle hidden; one too short to have a middle is hidden whole."""
    if len(number) < 8:
        return "*" * len(number)
    return f"{number[:3]}{'*' * (len(number) - 7)}{number[-4:]}"


_level = "info"


def level() -> str:
    """From where up things are logged now."""
    return _level


def set_level(level: str) -> None:
    """From now on; libraries stay at warnings and worse."""
    global _level
    _level = level
    threshold = getattr(logging, level.upper())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(threshold))
    logging.getLogger().setLevel(max(threshold, logging.WARNING))


def configure(level: str = "info") -> None:
    """Sends structlog's and the standard library's logs to stderr from `level` up."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, _mask, structlog.processors.JSONRenderer(ensure_ascii=False)],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries log through `logging`; they come out in the same form, from warnings up.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _mask,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)


def _mask(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _without_numbers(value)
    return event


def _without_numbers(value: Any) -> Any:
    if isinstance(value, str):
        return _NUMBER.sub(r"\1****\2", value)
    if isinstance(value, dict):
        return {key: _without_numbers(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_numbers(one) for one in value]
    return value
