"""A real network between the daemon and its gateways, without leaving the machine.

Two network namespaces: this process and the daemon live in the near one, the gateways in the far
one, and each line between them is a pair of TUN devices with `bench.line` carrying the packets.
The kernel's own TCP is at both ends, so what is lost is sent again and what is cut is silent.
Nothing of it has a name, and all of it goes when the process does.

Addresses are of 127/8, taken off the loopback device: simulated gateways serve no others.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import struct
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from .line import Command
from .options import BenchError

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
TUN = Path("/dev/net/tun")
NAMESPACE = "/proc/thread-self/ns/net"
ANSWER_WITHIN = 5.0


def near(line: int) -> str:
    """The daemon's address on a line."""
    return f"127.1.{line}.1"


def far(line: int) -> str:
    """The gateways' address on a line."""
    return f"127.1.{line}.2"


class Network:
    """`async with` moves this process into the near namespace, and back at the end.

    Line 0 is for what has to arrive.  Raises BenchError where it cannot be made.  To be entered
    before any thread is started that talks to the network.
    """

    def __init__(self, lines: int) -> None:
        """`lines` besides line 0."""
        self._lines = lines + 1
        self._open = ExitStack()
        self._far = -1
        self._carrier: Process | None = None

    @property
    def prefix(self) -> list[str]:
        """In front of a command that is to run in the far namespace."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self._far}"]

    async def __aenter__(self) -> Self:
        try:
            pairs = self._devices()
            self._carrier = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.line", *map(str, pairs)),
                stdin=PIPE,
                stdout=PIPE,
                pass_fds=pairs,
                cwd=Path(__file__).parents[1],
                start_new_session=True,
            )
            await self.change(0)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def change(
        self,
        line: int,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        cut: bool = False,
    ) -> None:
        """What the line does from now on, in each direction; without anything it is well."""
        carrier = self._carrier
        assert carrier is not None, "entered"
        assert carrier.stdin is not None, "a pipe"
        assert carrier.stdout is not None, "a pipe"
        command = Command(line=line, delay=delay, jitter=jitter, loss=loss, cut=cut)
        carrier.stdin.write(msgspec.json.encode(command) + b"\n")
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                said = await carrier.stdout.readline()
        except TimeoutError:
            said = b""
        if said != b"ok\n":
            raise BenchError("the process that carries packets has ended or is stuck")

    def _devices(self) -> list[int]:
        """Descriptors of all lines, near and far ends in turn."""
        try:
            home = os.open(NAMESPACE, os.O_RDONLY)
            self._open.callback(os.close, home)
            self._open.callback(_setns, home)
            _unshare()
            self._far = os.open(NAMESPACE, os.O_RDONLY)
            self._open.callback(os.close, self._far)
            ends = [_ends(far, near, self._lines)]
            _unshare()
            ends.append(_ends(near, far, self._lines))
        except (OSError, subprocess.CalledProcessError) as exc:
            words = getattr(exc, "stderr", None) or exc
            raise BenchError(
                "a network of one's own needs root, /dev/net/tun, and the commands ip and nsenter:"
                f" {words}"
            ) from exc
        pairs = [fd for pair in zip(ends[1], ends[0], strict=True) for fd in pair]
        for fd in pairs:
            self._open.callback(os.close, fd)
        return pairs

    async def _close(self) -> None:
        carrier, self._carrier = self._carrier, None
        try:
            if carrier is not None and carrier.returncode is None:
                assert carrier.stdin is not None, "a pipe"
                carrier.stdin.close()
                await carrier.wait()
        finally:
            self._open.close()


_libc = ctypes.CDLL(None, use_errno=True)


def _unshare() -> None:
    if _libc.unshare(CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def _setns(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _ends(mine: Callable[[int], str], other: Callable[[int], str], lines: int) -> list[int]:
    """The devices of one side, in the namespace that this thread is in; raises OSError."""
    _ip("link", "set", "lo", "up")
    # The kernel makes 127/8 local with the device; only 127.0.0.1 stays so.
    _ip("route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
    found: list[int] = []
    try:
        for line in range(lines):
            name = f"line{line}"
            fd = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            found.append(fd)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
            Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1")
            _ip("address", "add", f"{mine(line)}/32", "dev", name)
            _ip("link", "set", name, "up")
            _ip("route", "add", f"{other(line)}/32", "dev", name, "src", mine(line))
    except BaseException:
        for fd in found:
            os.close(fd)
        raise
    return found


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
