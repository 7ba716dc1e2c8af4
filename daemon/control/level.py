"""The log level while the daemon runs: another one for a while, or until the next word."""

from __future__ import annotations

import asyncio

import structlog

from daemon import logs

log = structlog.get_logger()


class Level:
    """What was configured at start comes back when the time of another has passed."""

    def __init__(self) -> None:
        self.usual = logs.level()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, level: str, seconds: float | None, uid: int) -> None:
        """Replaces whatever was set before."""
        self.stop()
        # A warning, and said in the level before: it is there unless that is "error".
        log.warning("log level set", to=level, before=logs.level(), seconds=seconds, uid=uid)
        logs.set_level(level)
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._back)

    def _back(self) -> None:
        self._timer = None
        logs.set_level(self.usual)
        log.warning("log level set", to=self.usual)

    def stop(self) -> None:
        """No more timers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
