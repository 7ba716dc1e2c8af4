"""A message as the wire parts of an account: coding, signature, segments, source number."""

from __future__ import annotations

import random

from protocols.errors import EncodeError
from protocols.part import Coding
from protocols.part import Part as WirePart
from protocols.text.coding import CODINGS, choose, encode
from protocols.text.references import References
from protocols.text.split import pieces, segments, uncut, with_signature

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


class Preparing:
    """For one account: `name` and its settings; `references` go on where others left off."""

    def __init__(self, name: str, account: Account, references: References | None = None) -> None:
        self.name = name
        width = 0x10000 if account.long in ("udh16", "sar") else 0x100
        self.references = references or References(random.getrandbits(32), width=width)
        self._account = account
        self._access_number: str = account.access_number
        self._encoding: str = account.encoding
        self._protocol: str = account.protocol
        self._long: str = account.long
        self._uncut = uncut(account.protocol, account.long)
        self._signs = account.signature_by != "gateway"
        self._payload = account.long == "payload"

    def prepare(self, m: Message) -> None:
        """Give every part of `m` that may still be written its wire form.

        A message that was never written is cut anew for the account; one that was keeps its parts
        and its reference.  Raises Refusal.
        """
        fields = m.job.fields
        sender = self._access_number
        if fields.ext:
            fits(m, self._account)  # an access number alone does
            sender += fields.ext
        text, ahead = fields.text, ""
        if fields.signature is not None:
            if self._signs:
                text = with_signature(text, fields.signature)
            else:
                ahead = f"【{fields.signature}】"
                text = text.removeprefix(ahead)
        expires = fields.expires_at
        if expires is not None and expires >= LAST_VALIDITY:
            expires = None
        try:
            alphabet = choose(ahead + text if ahead else text, self._encoding, self._protocol)
            content = encode(text, alphabet)
            if ahead or len(content) > self._uncut[alphabet]:
                cut = pieces(text, alphabet, self._protocol, self._long, ahead)
                if len(cut) > 1:
                    self._cut(m, cut, sender, CODINGS[alphabet], expires)
                    return
        except EncodeError as exc:
            raise Refusal("LOCAL:ENCODING", str(exc)) from exc
        if m.submitted is None:
            m.reference, m.parts = 0, (Part(1),)
        elif len(m.parts) > 1:
            raise _other(m, 1)
        m.account = self.name
        # By position: with names it takes twice the time to make one.
        m.parts[0].wire = WirePart(
            m.to,
            sender,
            content,
            CODINGS[alphabet],
            False,
            1,
            1,
            0,
            fields.report,
            expires,
            self._payload,
        )

    def _cut(
        self, m: Message, cut: list[bytes], sender: str, coding: Coding, expires: float | None
    ) -> None:
        """As parts with these contents, of which there are several."""
        if m.submitted is None:
            m.reference = self.references.take(m.to)
            m.parts = tuple([Part(number) for number in range(1, len(cut) + 1)])
        elif len(cut) != len(m.parts):
            raise _other(m, len(cut))
        m.account = self.name
        report = m.job.fields.report
        for part, segment in zip(m.parts, segments(cut, m.reference, self._long), strict=True):
            part.wire = WirePart(
                m.to,
                sender,
                segment.content,
                coding,
                segment.udh,
                segment.number,
                segment.total,
                segment.reference,
                report,
                expires,
                self._payload,
            )


def _other(m: Message, parts: int) -> Refusal:
    return Refusal("LOCAL:ENCODING", f"text: {parts} parts now, {len(m.parts)} before")
