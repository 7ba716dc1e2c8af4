"""The login's two digests (SMGP 3.0.3, sections 6.2.2.1 and 6.2.2.2)."""

from __future__ import annotations

from hashlib import md5


def client(client_id: str, secret: str, stamp: str, *, pad: bool = False) -> bytes:
    """AuthenticatorClient.

    `stamp` is the TimeStamp field as ten digits. `pad` fills the id up to its eight octets, which
    the specification does not want.
    """
    who = client_id.encode("latin-1")
    if pad:
        who = who.ljust(8, b"\0")
    return md5(who + bytes(7) + secret.encode() + stamp.encode()).digest()


def server(status: int, authenticator_client: bytes, secret: str) -> bytes:
    """AuthenticatorServer."""
    return md5(status.to_bytes(4) + authenticator_client + secret.encode()).digest()
