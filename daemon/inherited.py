"""Listening sockets that the service manager opened for us (sd_listen_fds(3)).

They stay open while we restart: who connects meanwhile waits in the kernel's queue instead of being
refused.  Which socket is whose is decided by its address alone.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

FIRST = 3
"""The manager's first file descriptor, after the standard ones."""


class Inherited:
    """Sockets that nobody has taken yet."""

    def __init__(self, sockets: Sequence[socket.socket] = ()) -> None:
        self._sockets = list(sockets)

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> Inherited:
        """As the environment of process `pid` says.

        Raises ValueError when what is given is no listening TCP socket.
        """
        if environ.get("LISTEN_PID") != str(pid):
            return cls()
        said = environ.get("LISTEN_FDS", "")
        if not said.isdecimal():
            raise ValueError(f"LISTEN_FDS: {said!r}, allowed is a number")
        given = environ.get("LISTEN_FDNAMES", "").split(":")
        names = [*given, *[""] * int(said)]
        return cls([_listening(FIRST + n, names[n]) for n in range(int(said))])

    def take(self, host: str, port: int) -> socket.socket | None:
        """The socket that listens at this address, if there is one; `host` as digits."""
        for sock in self._sockets:
            if _same(sock, host, port):
                self._sockets.remove(sock)
                return sock
        return None

    def left(self) -> list[str]:
        """Addresses of those that nobody took."""
        return [_shown(sock) for sock in self._sockets]


def _listening(number: int, name: str) -> socket.socket:
    what = f"file descriptor {number} of LISTEN_FDS" + (f" ({name})" if name else "")
    wrong = ValueError(f"{what}: no listening TCP socket, allowed is ListenStream=ADDRESS:PORT")
    try:
        sock = socket.socket(fileno=number)
    except OSError as exc:
        raise wrong from exc
    tcp = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
    if not tcp or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise wrong
    sock.set_inheritable(False)
    return sock


def _same(sock: socket.socket, host: str, port: int) -> bool:
    at = sock.getsockname()
    try:
        return bool(at[1] == port and ip_address(at[0]) == ip_address(host))
    except ValueError:  # the host is a name
        return False


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
