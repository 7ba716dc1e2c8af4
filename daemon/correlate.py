"""Which part a report is about, whichever bind it comes on and whenever.

Parts answered lately are in memory; the rest is in the ledger.  A report that names nobody yet is
kept, durably, until its answer comes; after two seconds it may stand for the one part in doubt of
its account and recipient, if there is exactly one (contract section 6.2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from .early import Early, Where
from .lists import Member
from .model import Message, Part, Place, Write
from .steps import unanswered_since

MOST_RECENT = 25_000
"""Answered parts in memory, of all accounts; older ones are looked up in the ledger.  One costs two
to three kilobytes."""
MOST_EARLY = 100_000
GUESS_AFTER = 2.0
KEEP_EARLY = 600.0
"""Seconds that a report waits for its answer."""


class Correlate:
    """`evict(message)` is told of a message that memory lets go of because it was long ago."""

    def __init__(self, evict: Callable[[Message], None]) -> None:
        self._evict = evict
        self.places: dict[str, dict[bytes, Write]] = {}
        """By account, then by key, in the order of coming."""
        self.members: dict[str, dict[str, Member]] = {}
        """By account, then by recipient, the newest of each: what reports name by its recipient and
        one of its keys.
        """
        self._older = 0
        """So many stand behind those."""
        self._spare = 0
        """So many more may come before it is counted again what is here."""
        self._kept: dict[Where, Early] = {}
        """In the order of coming."""
        self._early: dict[tuple[str, bytes], dict[str, Early]] = {}
        """By every key, then by recipient: a list has one key for all."""
        self._early_to: dict[tuple[str, str], list[Early]] = {}
        """By account and recipient."""
        self._young: deque[Early] = deque()
        """Of the last two seconds: others are to be told of them, and they are to be counted.  Some
        may be gone.
        """
        self._doubts: dict[tuple[str, str], list[Place]] = {}

    # Answers

    def of(self, account: str) -> dict[bytes, Write]:
        """Its `places`; who adds to them tells `trim`."""
        of = self.places.get(account)
        if of is None:
            of = self.places[account] = {}
        return of

    def register(self, account: str, key: bytes, write: Write) -> None:
        """The part that was written will be reported under `key`."""
        self.of(account)[key] = write
        self.trim()

    def members_of(self, account: str) -> dict[str, Member]:
        """As `of`, of its `members`; none of them has a recipient that another has."""
        of = self.members.get(account)
        if of is None:
            of = self.members[account] = {}
        return of

    def register_member(self, account: str, member: Member) -> None:
        """It will be reported under its recipient and one of its keys, others of its list under
        the same and theirs.
        """
        of, to = self.members_of(account), member.message.to
        before = known = of.get(to)
        while known is not None:
            if known is member:
                return  # since it was written (SGIP); others may stand before it
            known = known.before
        if before is not None and before.message is member.message and before.keys == member.keys:
            return
        member.before = before
        of[to] = member
        self._older += before is not None
        self.trim()

    def trim(self, added: int = 1) -> None:
        """So many came: let go of the oldest, where there are too many, of those that there are
        more of.
        """
        self._spare -= added
        if self._spare < 0:
            self._trim()

    def _trim(self) -> None:
        most = MOST_RECENT
        while True:
            singles = sum(map(len, self.places.values()))
            members = sum(map(len, self.members.values())) + self._older
            self._spare = most - singles - members
            if self._spare >= 0:
                return
            # Some more than that at once: what left a dict is gone past each time.
            most = MOST_RECENT - MOST_RECENT // 100
            if singles >= members:
                of = max(self.places.values(), key=len)
                for key in list(islice(of, -self._spare)):
                    if (write := of.pop(key, None)) is not None:
                        self._evict(write.message)
                continue
            by_recipient = max(self.members.values(), key=len)
            for to in list(islice(by_recipient, -self._spare)):
                newest = member = by_recipient.pop(to, None)
                while member is not None:
                    self._older -= member is not newest
                    self._evict(member.message)
                    member = member.before

    def forget(self, account: str, key: bytes, part: Part) -> None:
        """The part's verdict is known; the ledger still knows the key."""
        of = self.of(account)
        write = of.get(key)
        if write is not None and write.part is part:
            del of[key]

    def forget_member(self, account: str, message: Message) -> None:
        """As `forget`, whatever lists the message left in."""
        of, to = self.members_of(account), message.to
        newest = member = of.pop(to, None)
        others = []
        while member is not None:
            self._older -= member is not newest
            if member.message is not message:
                others.append(member)
            member = member.before
        self._older += max(0, len(others) - 1)
        for other in reversed(others):
            other.before = of.get(to)
            of[to] = other

    # Reports

    def find(self, account: str, keys: tuple[bytes, ...], to: str) -> Place | None:
        """The part in memory that a report is about: it has one of the keys, and this recipient."""
        of, members = self.of(account), self.members_of(account)
        if keys:
            first = keys[0]
            member = members.get(to)
            if member is not None and first in member.keys:
                return member.message, member.part  # as nearly all of lists are
            write = of.get(first)
            if write is not None and write.message.to == to:
                return write.message, write.part  # as nearly all others are
        for key in keys:
            write = of.get(key)
            if write is not None and write.message.to == to:
                return write.message, write.part
            member = members.get(to)
            while member is not None:
                if key in member.keys:
                    return member.message, member.part
                member = member.before
        return None

    def alone(self, account: str, keys: tuple[bytes, ...]) -> Place | None:
        """The part in memory that has one of these keys last, whoever its recipient is."""
        of = self.of(account)
        for key in keys:
            if (write := of.get(key)) is not None:
                return write.message, write.part
        return None

    # Reports that came too early

    def keep(self, early: Early) -> None:
        """Under every key that its answer may come with."""
        where = (early.account, early.to)
        if len(self._doubts.get(where, ())) > 1:
            early.ambiguous = True
        if (before := self._kept.get(early.where)) is not None:
            early.before = min(before.since, early.since)
            early.ambiguous |= before.ambiguous
            self.drop(before)
        self._kept[early.where] = early
        for key in early.keys:
            self._early.setdefault((early.account, key), {})[early.to] = early
        self._early_to.setdefault(where, []).append(early)
        if not (early.counted and early.passed):
            self._young.append(early)
        if len(self._kept) > MOST_EARLY:
            self.drop(next(iter(self._kept.values())))

    @property
    def has_early(self) -> bool:
        """Whether any report waits for its answer."""
        return bool(self._early)

    def expects(self, account: str, keys: Iterable[bytes]) -> bool:
        """Whether any report waits for an answer with one of these."""
        return any((account, key) in self._early for key in keys)

    def early(self, account: str, key: bytes, to: str, *, member: bool = False) -> Early | None:
        """The report that waited for this answer, if one did; of a `member` under its recipient."""
        if not self._early:
            return None
        found = self._early.get((account, key))
        if found is None:
            return None
        early = found.get(to)
        if early is None:
            # The id alone is enough, but not where it is said of several.
            if member or len(found) > 1:
                return None
            (early,) = found.values()
            if early.keys.index(key) >= early.exact:
                return None
        self.drop(early)
        return early

    def drop(self, early: Early) -> None:
        if not self.keeps(early):
            return
        del self._kept[early.where]
        where = (early.account, early.to)
        same = self._early_to[where]
        same.remove(early)
        if not same:
            del self._early_to[where]
        for key in early.keys:
            found = self._early.get((early.account, key))
            if found is not None and found.get(early.to) is early:
                del found[early.to]
                if not found:
                    del self._early[early.account, key]

    def keeps(self, early: Early) -> bool:
        """Whether it still waits."""
        return self._kept.get(early.where) is early

    def keeps_any(self, where: Where) -> bool:
        """Whether a report that goes by this waits."""
        return where in self._kept

    def waiting(self) -> list[Early]:
        """All that are kept, oldest first."""
        return list(self._kept.values())

    def due(self, now: float) -> list[Early]:
        """Those that something may happen to now, of a hundred thousand that may wait: the young
        ones, those that wait for too long, and those with a part of their recipient in doubt.
        """
        found = {id(early): early for early in self._young if self.keeps(early)}
        while self._young and now >= self._young[0].at + GUESS_AFTER:
            self._young.popleft()
        for early in self._kept.values():
            if now < early.at + KEEP_EARLY:
                break
            found[id(early)] = early
        if self._early_to:
            for where in self._doubts:
                for early in self._early_to.get(where, ()):
                    found[id(early)] = early
        return list(found.values())

    # Parts in doubt

    def doubt(self, message: Message, part: Part, comes: bool) -> None:
        """A part came into doubt, or left it."""
        if message.account is None:
            return
        where = (message.account, message.to)
        places = self._doubts.get(where)
        known = places is not None and any(place[1] is part for place in places)
        if comes and not known:
            self._doubts.setdefault(where, []).append((message, part))
        elif not comes and known and places is not None:
            places[:] = [place for place in places if place[1] is not part]
            if not places:
                del self._doubts[where]

    def guess(self, early: Early, now: float) -> Place | None:
        """The one part in doubt that an unmatched report may be about; `now` is wall time."""
        places = self._doubts.get((early.account, early.to), ())
        if len(places) > 1:
            early.ambiguous = True
        if early.ambiguous or not places or now < early.at + GUESS_AFTER:
            return None
        message, part = places[0]
        came = early.since
        if message.submitted is None or message.submitted > came:
            return None  # nothing of it had left: many may wait for a number that is tried often
        since = unanswered_since(message.steps)
        # Where the write itself is not among the steps that are kept, it was not before the first.
        if since.get(part.number, message.submitted) > came:
            return None
        others = [p for p in message.parts if p is not part and (p.doubts or p.flying)]
        if any(since.get(other.number, message.submitted) <= came for other in others):
            return None  # an attempt of that was never answered, though it is not in doubt now
        return places[0]

    def in_doubt(self, account: str) -> int:
        """Messages of an account that are in doubt."""
        return len(
            {m.mid for (a, _), places in self._doubts.items() if a == account for m, _ in places}
        )
