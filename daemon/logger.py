"""A logger for modules that short commands import, too: structlog takes a tenth of a second to
import, and comes with the first line that is logged.
"""

from __future__ import annotations

from typing import Any


class _Logger:
    def __getattr__(self, name: str) -> Any:
        import structlog

        return getattr(structlog.get_logger(), name)


log = _Logger()
