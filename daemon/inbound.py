"""Messages from subscribers: joined, decoded, published, and only then acknowledged.

A part of a long message is kept in the ledger until the others have come or `join_within` has
passed.  The id of an inbound message comes from what the carrier called it, so it is the same when
the carrier delivers it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple, cast

import msgspec

from protocols.events import Received
from protocols.text.header import Header, guess, read
from protocols.text.join import Joined, Joiner

from .account import Account
from .changes import Changes
from .clock import Stamps
from .link import Link
from .numbers.normalise import folded
from .records import Records
from .tally import Tally

KIND = "fragment"
"""Of the ledger's small things: parts that wait for the others."""


Key = tuple[str, str, str]
"""Account, sender and recipient."""


class Fragment(msgspec.Struct):
    account: str
    node: str
    sender: str
    to: str
    reference: int
    total: int
    number: int
    width: int
    coding: int
    content: bytes
    identity: bytes
    at: float


class Token(NamedTuple):
    """What is known of one part beside its text."""

    identity: bytes
    node: str
    at: float
    keep: bytes | None


class Inbound:
    def __init__(
        self,
        *,
        accounts: Mapping[str, Account],
        records: Records,
        stamps: Stamps,
        topic: str,
        join_within: float,
        tally: Tally,
        wall: Callable[[], float],
    ) -> None:
        self.accounts = accounts
        self.records = records
        self.stamps = stamps
        self.topic = topic
        self.tally = tally
        self.wall = wall
        self.joiner = Joiner(join_within)

    def came(self, account: Account, link: Link, event: Received, c: Changes) -> None:
        """One message or part; acknowledged when what came of it is durable."""
        c.acknowledge(link, (event.receipt,))
        header = _header(event, account.protocol)
        at = self.wall()
        key = (account.name, folded(event.sender), event.to)
        fragment = Fragment(
            account.name,
            link.label,
            key[1],
            event.to,
            header.reference,
            header.total,
            header.number,
            header.width,
            event.coding,
            header.rest,
            event.identity,
            at,
        )
        keep = raw = None
        if header.total > 1:
            raw = msgspec.msgpack.encode(fragment)
            keep = blake2b(raw, digest_size=16).digest()
        token = Token(event.identity, link.label, at, keep)
        joined = self.joiner.add(key, header, event.coding, at, token)
        if joined is not None:
            self._publish(joined, c)
        elif keep is not None and raw is not None:
            c.entries.keeps.append((KIND, keep, at, raw))

    def restore(self, kept: Sequence[tuple[bytes, float, bytes]], c: Changes) -> None:
        """Parts that waited when the daemon stopped."""
        for keep, _, raw in sorted(kept, key=lambda item: item[1]):
            f = msgspec.msgpack.decode(raw, type=Fragment)
            header = Header(f.content, f.reference, f.total, f.number, f.width)
            token = Token(f.identity, f.node, f.at, keep)
            key = (f.account, f.sender, f.to)
            joined = self.joiner.add(key, header, f.coding, f.at, token)
            if joined is not None:
                self._publish(joined, c)

    def tick(self, at: float, c: Changes) -> None:
        """Publish what stayed incomplete for too long."""
        for joined in self.joiner.expire(at):
            self._publish(joined, c)

    def _publish(self, joined: Joined, c: Changes) -> None:
        tokens = [token for token in joined.tokens if isinstance(token, Token)]
        for token in tokens:
            if token.keep is not None:
                c.entries.drops.append((KIND, token.keep))
        if joined.again:
            return
        name, sender, to = cast(Key, joined.key)
        account = self.accounts.get(name)
        access_number = account.settings.access_number if account is not None else ""
        identity = blake2b(f"{name}\0{sender}\0{to}".encode(), digest_size=12)
        for octets in sorted(token.identity for token in tokens):
            identity.update(octets)
        fields = {
            "id": identity.hexdigest(),
            "from": sender,
            "to": to,
            "ext": to.removeprefix(access_number) if to.startswith(access_number) else "",
            "text": joined.text(account.protocol if account is not None else "cmpp"),
            "carrier": account.settings.carrier if account is not None else None,
            "account": name,
            "node": tokens[-1].node if tokens else None,
            "received": self.stamps.text(max(token.at for token in tokens)),
            "parts": joined.received,
            "complete": joined.complete,
        }
        self.tally.inbound[name] += 1
        c.event(self.topic, self.records.inbound(fields, sender))


def _header(event: Received, protocol: str) -> Header:
    """Where this part belongs; a header that cannot be read is text."""
    if event.udh:
        return read(event.content) or Header(event.content)
    if event.sar is not None:
        reference, total, number = event.sar
        if 1 <= number <= total:
            return Header(event.content, reference, total, number, width=16)
    if protocol == "smgp":
        # Some SMGP gateways leave out the TLV that says a header is there.
        return guess(event.content) or Header(event.content)
    return Header(event.content)
