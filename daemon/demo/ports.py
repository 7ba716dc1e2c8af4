"""Free ports on loopback, kept free until whoever they are meant for listens on them."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


class Ports:
    """While this is open nobody is given these ports by chance; a listener may still take them.

    Both the sockets here and a server's have SO_REUSEADDR and these do not listen, which Linux
    lets coexist on one address.
    """

    def __init__(self, count: int) -> None:
        self._sockets: list[socket.socket] = []
        for _ in range(count):
            held = socket.socket()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((HOST, 0))
            self._sockets.append(held)
        self.numbers: list[int] = [held.getsockname()[1] for held in self._sockets]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for held in self._sockets:
            held.close()
