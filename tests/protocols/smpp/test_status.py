"""The status table against the vocabulary of an independent implementation."""

from __future__ import annotations

from aiosmpplib.state import SmppCommandStatus

from protocols.smpp import status


def test_our_constants_are_the_vocabularys() -> None:
    ours = {
        name: value
        for name, value in vars(status).items()
        if name.startswith("R") and name.isupper() and isinstance(value, int)
    }
    assert len(ours) > 30
    theirs = {known.name.removeprefix("ESME_"): int(known) for known in SmppCommandStatus}
    since_5_0 = {"RINVDCS"}
    assert {name: theirs[name] for name in ours.keys() - since_5_0} == {
        name: value for name, value in ours.items() if name not in since_5_0
    }
    assert status.NAMES[status.RINVDCS] == "ESME_RINVDCS"


def test_a_status_is_spelled_with_eight_digits() -> None:
    assert status.code(0x58) == "0x00000058"
    assert status.code(0x0400) == "0x00000400"
    assert status.meaning(0x58) == "ESME_RTHROTTLED 0x00000058"
    assert status.meaning(0x402) == "status 0x00000402"
