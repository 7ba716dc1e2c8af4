"""Octets worth hearing again: golden frames, and inputs that an earlier run found interesting."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.protocols.vectors import pdus

HERE = Path(__file__).parent / "corpus"


@cache
def golden(protocol: str) -> tuple[bytes, ...]:
    """Whole PDUs made by other implementations."""
    return tuple(bytes.fromhex(v["hex"]) for v in pdus() if v["protocol"] == protocol)


@cache
def found(protocol: str) -> tuple[bytes, ...]:
    """One input a line, in hexadecimal; what follows a blank says what it was kept for."""
    file = HERE / f"{protocol}.hex"
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    return tuple(bytes.fromhex(line.split(maxsplit=1)[0]) for line in lines if line)


def write(protocol: str, kept: dict[str, bytes]) -> None:
    """`kept` has inputs by their signature; the shorter ones come first."""
    HERE.mkdir(exist_ok=True)
    lines = [f"{octets.hex()} {why}" for why, octets in kept.items()]
    text = "".join(
        f"{line.encode('ascii', 'replace').decode()}\n" for line in sorted(lines, key=len)
    )
    (HERE / f"{protocol}.hex").write_text(text, encoding="ascii")
