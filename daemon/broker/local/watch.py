"""Tells who waits for records that something was written to a topic's directory.

Linux says so by inotify.  Where it does not (a user has so many watches, a directory is not there
yet) there is nothing but looking, and `complete` is False.  Only this machine's writes are told:
whoever waits looks now and then all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

# From <sys/inotify.h>; both opening flags are those of open().
_MODIFY, _MOVED_TO, _CREATE, _IGNORED, _ONLYDIR = 0x2, 0x80, 0x100, 0x8000, 0x01000000
_WANTED = _MODIFY | _MOVED_TO | _CREATE | _ONLYDIR
_EVENT = struct.Struct("iIII")
_READ = 64 * 1024

log = structlog.get_logger()


class Watch:
    """`changed()` is called on the loop, once for all that happened in one turn of it."""

    def __init__(self, directories: Iterable[Path], changed: Callable[[], None]) -> None:
        self._missing = set(directories)
        self._watched: dict[int, Path] = {}
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._open()
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._read)

    def complete(self) -> bool:
        """Whether every directory is watched; tries those that are not once more."""
        for path in list(self._missing):
            if self._fd >= 0 and self._add(path):
                self._missing.discard(path)
        return not self._missing

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._missing.update(self._watched.values())
            self._watched.clear()

    def _open(self) -> int:
        fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if fd < 0:
            self._untold()
        return fd

    def _add(self, path: Path) -> bool:
        watch = self._libc.inotify_add_watch(self._fd, os.fsencode(path), _WANTED)
        if watch >= 0:
            self._watched[watch] = path
            return True
        if path.is_dir():
            self._untold()
            self.close()
        return False

    def _untold(self) -> None:
        log.warning("files are looked at, not watched", error=os.strerror(ctypes.get_errno()))

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, _READ)
            at = 0
            while at < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size + length
                if mask & _IGNORED and watch in self._watched:
                    self._missing.add(self._watched.pop(watch))  # the directory was removed
        self._changed()
