"""Sockets that somebody else opened: whose they are, and what is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from daemon import inherited
from daemon.inherited import Inherited


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(stack: ExitStack, host: str, family: int = socket.AF_INET) -> socket.socket:
    sock = stack.enter_context(socket.socket(family))
    sock.bind((host, 0))
    sock.listen()
    return sock


def test_a_socket_belongs_to_whoever_listens_at_its_address_and_to_him_once(
    opened: ExitStack,
) -> None:
    four, six = listening(opened, "127.0.0.1"), listening(opened, "::1", socket.AF_INET6)
    port = four.getsockname()[1]
    given = Inherited([six, four])
    assert given.take("127.0.0.2", port) is None
    assert given.take("localhost", port) is None
    assert given.take("127.0.0.1", port) is four
    assert given.take("127.0.0.1", port) is None
    assert given.left() == [f"[::1]:{six.getsockname()[1]}"]
    assert given.take("0:0::1", six.getsockname()[1]) is six
    assert given.left() == []


def test_what_is_given_to_another_process_is_none_of_ours() -> None:
    assert Inherited.of({"LISTEN_PID": "1", "LISTEN_FDS": "9"}, 2).left() == []
    assert Inherited.of({}, 2).left() == []


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="LISTEN_FDS: 'x', allowed is a number"):
        Inherited.of({"LISTEN_PID": "2", "LISTEN_FDS": "x"}, 2)


@pytest.mark.parametrize("kind", ["datagram", "not listening", "unix", "none"])
def test_what_is_no_listening_socket_is_named(
    opened: ExitStack, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    form = socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
    sock = opened.enter_context(socket.socket(family, form))
    number = sock.fileno()
    if kind == "none":
        sock.close()
    monkeypatch.setattr(inherited, "FIRST", number)
    environ = {"LISTEN_PID": "2", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "sgip"}
    with pytest.raises(ValueError, match=rf"file descriptor {number} of LISTEN_FDS \(sgip\)"):
        Inherited.of(environ, 2)
