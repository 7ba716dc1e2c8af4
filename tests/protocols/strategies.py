"""Bodies of every PDU for property tests, drawn from the declarations of their fields."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from protocols.cmpp.pdus import Octet
from protocols.sgip.pdus import Nodes, SequenceOctets, TraceNode
from protocols.smpp.pdus import Destination, Destinations, DistributionList, Failure, Failures
from protocols.wire import (
    Body,
    Counted,
    CString,
    Fixed,
    Octets,
    Rest,
    Text,
    Texts,
    Tlvs,
)

U8 = st.integers(0, 255)
NOT_NUL = st.characters(min_codepoint=1, max_codepoint=255)


def text(size: int) -> SearchStrategy[str]:
    """What fits a padded text and comes back: trailing spaces are taken for padding."""
    return st.text(NOT_NUL, max_size=size).map(lambda value: value.rstrip(" "))


def number(code: str) -> SearchStrategy[int]:
    return st.integers(0, 256 ** struct.calcsize("!" + code) - 1)


def _node() -> SearchStrategy[TraceNode]:
    return st.builds(TraceNode, U8, text(6), text(16), text(16), text(8))


_CSTRING = st.text(NOT_NUL, max_size=20)

# The most specific class of a kind decides.
KINDS: dict[type[Any], Callable[[Any], SearchStrategy[Any]]] = {
    Fixed: lambda kind: number(kind.code),
    Text: lambda kind: text(kind.size),
    Octets: lambda kind: st.binary(min_size=kind.size, max_size=kind.size),
    Counted: lambda kind: st.binary(max_size=min(kind.most, 300)),
    Texts: lambda kind: st.lists(text(kind.size), max_size=min(kind.most, 9)).map(tuple),
    CString: lambda kind: st.text(NOT_NUL, max_size=kind.size - 1),
    Rest: lambda kind: text(kind.size),
    Tlvs: lambda _: st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=5
    ).map(tuple),
    Octet: lambda _: st.none() | U8,
    SequenceOctets: lambda _: st.binary(min_size=12, max_size=12),
    Nodes: lambda _: st.lists(_node(), max_size=4).map(tuple),
    Destinations: lambda _: st.lists(
        st.builds(Destination, U8, U8, _CSTRING) | st.builds(DistributionList, _CSTRING),
        max_size=5,
    ).map(tuple),
    Failures: lambda _: st.lists(st.builds(Failure, U8, U8, _CSTRING, number("I")), max_size=5).map(
        tuple
    ),
}


def values(kind: Any) -> SearchStrategy[Any]:
    """Values of one field."""
    for ancestor in type(kind).__mro__:
        if ancestor in KINDS:
            return KINDS[ancestor](kind)
    raise LookupError(f"no strategy for fields of the kind {type(kind).__name__}")


def bodies(cls: type[Body]) -> SearchStrategy[Body]:
    """Any body of one PDU that its fields can hold."""
    return st.builds(cls, **{name: values(kind) for name, kind in cls._kinds.items()})
