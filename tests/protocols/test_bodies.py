"""What holds for every PDU of every protocol."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import DecodeError
from protocols.explain import PROTOCOLS, Explained, explain
from protocols.wire import Body

from .strategies import bodies

EVERY = [
    pytest.param(protocol, version, command, name, cls, id=f"{protocol}-{version}-{name}")
    for protocol, module in PROTOCOLS.items()
    for version, known in module.PDUS.items()
    for command, (name, cls) in known.items()
]
every_pdu = pytest.mark.parametrize(("protocol", "version", "command", "name", "cls"), EVERY)


def frame(protocol: str, command: int, raw: bytes) -> bytes:
    header = PROTOCOLS[protocol].HEADER
    words = header.size // 4
    return bytes(header.pack(header.size + len(raw), command, *[0] * (words - 2))) + raw


@every_pdu
@settings(max_examples=25)
@given(data=st.data())
def test_decoding_what_was_encoded_gives_the_same(
    protocol: str, version: str, command: int, name: str, cls: type[Body], data: st.DataObject
) -> None:
    made = data.draw(bodies(cls))
    raw = made.encode()
    assert cls.decode(raw) == made
    found_name, found = PROTOCOLS[protocol].decode_body(
        version, command, frame(protocol, command, raw)
    )
    assert found_name == name
    if raw or type(found) is cls:  # an SMPP response without octets is read as having no body
        assert found == made


def stopped(reading: Callable[[], object]) -> int | None:
    """Where reading stopped, or None when it came to its end."""
    try:
        reading()
    except DecodeError as exc:
        return exc.offset
    return None


@every_pdu
@settings(max_examples=25)
@given(raw=st.binary(max_size=400))
def test_any_octets_are_read_or_refused_with_their_place(
    protocol: str, version: str, command: int, name: str, cls: type[Body], raw: bytes
) -> None:
    module = PROTOCOLS[protocol]
    pdu = frame(protocol, command, raw)
    at = stopped(lambda: module.decode_body(version, command, pdu)[1].show())
    assert at is None or module.HEADER.size <= at <= len(pdu)


@every_pdu
@settings(max_examples=25)
@given(data=st.data())
def test_a_body_cut_short_is_refused_or_read_without_its_end(
    protocol: str, version: str, command: int, name: str, cls: type[Body], data: st.DataObject
) -> None:
    raw = data.draw(bodies(cls)).encode()
    cut = raw[: data.draw(st.integers(0, max(0, len(raw) - 1)))]
    at = stopped(lambda: cls.decode(cut))
    if at is None:
        assert len(cls.decode(cut).encode()) <= len(raw)
    else:
        assert at <= len(cut)


@given(protocol=st.sampled_from(sorted(PROTOCOLS)), data=st.binary(max_size=300))
def test_explaining_any_octets_ends(protocol: str, data: bytes) -> None:
    seen: list[Explained] = []
    at = stopped(lambda: seen.extend(explain(protocol, None, data)))
    read = sum(pdu.length for pdu in seen)
    assert read == len(data) if at is None else read <= at <= len(data)
