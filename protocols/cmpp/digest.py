"""The login's two digests (CMPP 3.0.0, sections 7.4.1.1 and 7.4.1.2)."""

from __future__ import annotations

from hashlib import md5


def source(source_addr: str, secret: str, stamp: str, *, pad: bool = False) -> bytes:
    """AuthenticatorSource.

    `stamp` is the Timestamp field as ten digits. `pad` fills the address up to its six octets,
    which some gateways want though the specification does not.
    """
    who = source_addr.encode("latin-1")
    if pad:
        who = who.ljust(6, b"\0")
    return md5(who + bytes(9) + secret.encode() + stamp.encode()).digest()


def ismg(status: int, authenticator_source: bytes, secret: str, *, width: int) -> bytes:
    """AuthenticatorISMG; the status is as wide as on the wire, 1 octet in 2.0 and 4 in 3.0."""
    return md5(status.to_bytes(width) + authenticator_source + secret.encode()).digest()
