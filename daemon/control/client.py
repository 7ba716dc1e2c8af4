"""Asking a running daemon, from a command: plain blocking sockets, so that it starts at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from .place import NAME, address
from .requests import Request, spell

WITHIN = 10.0
"""Seconds for the daemon to take the call and to answer."""


class NotRunning(Exception):  # noqa: N818  # an answer, too
    """No daemon has this state_dir open, or it cannot be reached."""


class Refused(Exception):  # noqa: N818  # an answer, too
    """The daemon does not do it; the text says why."""


def ask(state_dir: Path, request: Request) -> dict[str, Any]:
    """The daemon's answer.  Raises NotRunning and Refused."""
    with _Call(state_dir, request) as call:
        return call.answer


def follow(state_dir: Path, request: Request) -> Iterator[dict[str, Any]]:
    """The answer, then what follows it.  Raises NotRunning and Refused."""
    with _Call(state_dir, request) as call:
        yield call.answer
        yield from call.rest()


class _Call:
    """One connection; `answer` is there when it was made."""

    def __init__(self, state_dir: Path, request: Request) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(WITHIN)
        self._buffer = b""
        try:
            self._connect(state_dir)
            self._socket.sendall(spell(request))
            line = self._line()
        except TimeoutError:
            self._socket.close()
            raise NotRunning(f"the daemon does not answer at {state_dir / NAME}") from None
        except OSError as exc:
            self._socket.close()
            raise NotRunning(f"{state_dir / NAME}: {exc.strerror}") from exc
        except NotRunning:
            self._socket.close()
            raise
        self.answer: dict[str, Any] = msgspec.json.decode(line)
        if not self.answer.pop("ok"):
            self._socket.close()
            raise Refused(self.answer["error"])

    def _connect(self, state_dir: Path) -> None:
        try:
            with address(state_dir) as path:
                self._socket.connect(path)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise NotRunning(
                f"no daemon runs with {state_dir}: start it with `carrierd run`"
            ) from None
        except PermissionError:
            raise NotRunning(
                f"{state_dir / NAME} is open to root and the daemon's own user only; who is"
                " neither can read `/status` at `http.listen`"
            ) from None

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            try:
                more = self._socket.recv(1 << 16)
            except TimeoutError:
                raise
            except OSError as exc:
                raise NotRunning(f"the daemon went away: {exc.strerror}") from None
            if not more:
                raise NotRunning("the daemon closed the connection")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def rest(self) -> Iterator[dict[str, Any]]:
        """Lines until the daemon closes, which it says in the last one."""
        self._socket.settimeout(None)
        while True:
            line: dict[str, Any] = msgspec.json.decode(self._line())
            yield line
            if "end" in line:
                return

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
