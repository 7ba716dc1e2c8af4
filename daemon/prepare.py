"""A message as the wire parts of an account: coding, signature, segments, source number."""

from __future__ import annotations

from protocols.errors import EncodeError
from protocols.part import Part as WirePart
from protocols.text.coding import choose
from protocols.text.references import References
from protocols.text.split import pieces, segments, with_signature

from .config import Account
from .model import Message, Part

LONGEST_SOURCE = 20
"""Digits of access number and extension together (contract section 4)."""

LAST_VALIDITY = 4_000_000_000.0
"""In 2096: later ones have no spelling on the wire, where years have two digits."""


class Refusal(Exception):  # noqa: N818  # an outcome, not a fault
    """The message cannot go to this account; `code` is a LOCAL one."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def fits(m: Message, account: Account) -> None:
    """What can be said without coding the text.  Raises Refusal."""
    ext = m.job.fields.ext
    if len(account.access_number) + len(ext) > LONGEST_SOURCE:
        raise Refusal(
            "LOCAL:EXT",
            f"ext: {account.access_number} and {ext} make more than {LONGEST_SOURCE} digits",
        )


def prepare(m: Message, name: str, account: Account, references: References) -> None:
    """Give every part of `m` that may still be written its wire form.

    A message that was never written is cut anew for the account; one that was keeps its parts and
    its reference.  Raises Refusal.
    """
    fields = m.job.fields
    if fields.ext:
        fits(m, account)  # an access number alone does
    text, ahead = fields.text, ""
    if fields.signature is not None:
        if account.signature_by == "gateway":
            ahead = f"【{fields.signature}】"
            text = text.removeprefix(ahead)
        else:
            text = with_signature(text, fields.signature)
    try:
        alphabet = choose(ahead + text, account.encoding, account.protocol)
        cut = pieces(text, alphabet, account.protocol, account.long, ahead)
    except EncodeError as exc:
        raise Refusal("LOCAL:ENCODING", str(exc)) from exc
    if not m.written:
        if len(cut) == 1:
            m.reference, m.parts = 0, [Part(1)]
        else:
            m.reference = references.take(m.to)
            m.parts = [Part(number) for number in range(1, len(cut) + 1)]
    elif len(cut) != len(m.parts):
        raise Refusal("LOCAL:ENCODING", f"text: {len(cut)} parts now, {len(m.parts)} before")
    m.account = name
    sender = account.access_number + fields.ext
    coding = alphabet.coding
    payload = account.long == "payload"
    expires = fields.expires_at
    if expires is not None and expires >= LAST_VALIDITY:
        expires = None
    if len(cut) == 1:
        # By position: with names it takes twice the time to make one.
        m.parts[0].wire = WirePart(
            m.to, sender, cut[0], coding, False, 1, 1, 0, fields.report, expires, payload
        )
        return
    for part, segment in zip(m.parts, segments(cut, m.reference, account.long), strict=True):
        part.wire = WirePart(
            m.to,
            sender,
            segment.content,
            coding,
            segment.udh,
            segment.number,
            segment.total,
            segment.reference,
            fields.report,
            expires,
            payload,
        )
