"""Keys of the ledger on their first way: gathered by commit, then in runs cut by hash.

A key is a hash and what it leads to (`keys`).  To put each into a sorted table by itself costs
a page in the log, however few are put at once; so the ledger has two steps before that table.  The
keys of a commit are one row of `gathered`, as they come.  In memory they are dealt to 256 slices
by the first octet of the hash; when there are enough of them these slices are a *run*, a row each,
and whoever looks for a hash reads one row of each run.  Many runs go to `lookup` at once.

Rows are octets: hashes of four, refs of eight, in the same order, the smallest octet first.
"""

from __future__ import annotations

import sqlite3
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from daemon.ledger.statement import Bulk, fetch

SLICES: Final = 256
_BITS: Final = 8
_SHIFT: Final = 32 - _BITS
MOST_RUNS = 16
"""So many go to `lookup` together: what a slice of them has is some 8 ms that a commit may wait."""
_INSERTS, _DELETES = 8, 4
STEPS = _INSERTS + _DELETES
"""Commits over which a run is written, some 5,000 keys each, and then `gathered` is cut."""

_LOOKUP = Bulk("insert or ignore into lookup", 2)
_GATHERED = "insert into gathered (hashes, refs) values (?, ?)"


class Gathered:
    """In memory, keys that are in no run yet, or in one that is being written.

    Written by the writer's thread and read by the reader's, which looks here first and only then
    begins to read the file: what has left here is in a run by then.
    """

    __slots__ = ("_moving", "_new")

    def __init__(self) -> None:
        self._new = _slices()
        self._moving = _slices()

    def add(self, hashes: Iterable[int], refs: Iterable[int]) -> None:
        new = self._new
        for hash_, ref in zip(hashes, refs, strict=True):
            into = new[hash_ >> _SHIFT]
            into[1].append(ref)  # whoever finds the hash finds this
            into[0].append(hash_)

    def begin(self) -> None:
        """All of them begin to move."""
        self._moving, self._new = self._new, _slices()

    def moved(self) -> None:
        """The move is durable."""
        self._moving = _slices()

    def moving(self, number: int) -> tuple[bytes, bytes]:
        """A slice of what moves: hashes and refs."""
        hashes, refs = self._moving[number]
        return _octets(hashes), _octets(refs)

    def refs(self, hashes: Iterable[int]) -> set[int]:
        found: set[int] = set()
        for hash_ in hashes:
            for slices in (self._new, self._moving):
                own, refs = slices[hash_ >> _SHIFT]
                found.update([refs[at] for at in _places(_octets(own), hash_)])
        return found


class Runs:
    """The writer's side: used within its transactions, by its thread."""

    __slots__ = ("_db", "_rows", "_run", "_slices", "_step", "_upto", "gathered")

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.gathered = Gathered()
        _take_over(db)
        for hashes, refs in _gathered(db):
            self.gathered.add(hashes, refs)
        self._slices = Bulk("insert or replace into run", 3)
        self._step = STEPS
        self._run = self._upto = self._rows = 0

    def add(self, hashes: Sequence[int], refs: Sequence[int]) -> None:
        """The keys of a commit."""
        self._db.execute(_GATHERED, _row(hashes, refs))
        self.gathered.add(hashes, refs)

    def begin(self) -> None:
        """All that has gathered now is to be a run."""
        first, self._upto = span(self._db, "gathered")
        self._rows = max(self._upto - first + 1, 0)
        _, last = span(self._db)
        self._run = (last >> _BITS) + 1
        self._step = 0
        self.gathered.begin()

    def step(self) -> None:
        """Write some of its slices; or forget some of the rows that they came from."""
        step, self._step = self._step, self._step + 1
        if step < _INSERTS:
            size = SLICES // _INSERTS
            first = step * size
            rows = [
                (self._run << _BITS | number, *self.gathered.moving(number))
                for number in range(first, first + size)
            ]
            self._slices.run(self._db, [row for row in rows if row[1]])
        elif step < STEPS:
            # The last row stays until the last step: in an empty table the next would get a number
            # that is gone with these.
            later = -(-self._rows * (STEPS - 1 - step) // _DELETES)
            self._db.execute("delete from gathered where n <= ?", (self._upto - later,))


def span(db: sqlite3.Connection, table: str = "run") -> tuple[int, int]:
    """The numbers of the first and the last row; `SLICES` and 0 when there is none."""
    # Asked for both at once SQLite reads the whole table.
    sql = f"select (select min(n) from {table}), (select max(n) from {table})"  # noqa: S608
    first, last = db.execute(sql).fetchone()
    return (SLICES, 0) if first is None else (first, last)


def count(db: sqlite3.Connection) -> int:
    """How many runs there are at most."""
    first, last = span(db)
    return (last >> _BITS) - (first >> _BITS) + 1


def oldest(db: sqlite3.Connection) -> int:
    """The last of the runs that go next, MOST_RUNS at most."""
    return (span(db)[0] >> _BITS) + MOST_RUNS - 1


def keys(db: sqlite3.Connection) -> int:
    """How many keys are here, gathered or in runs."""
    octets = "select coalesce(sum(length(hashes)), 0) from"
    sql = f"select ({octets} gathered) + ({octets} run)"
    return int(db.execute(sql).fetchone()[0]) // 4


def rise(number: int, last: int, db: sqlite3.Connection) -> None:
    """Move one of the `SLICES` of the runs up to the `last` to `lookup`."""
    rest = "from run where n in (select value from json_each(?))"
    which = (_json(n for n in _numbers(db, [number]) if n >> _BITS <= last),)
    found: list[tuple[int, int]] = []
    for hashes, refs in fetch(db, "hex(hashes), hex(refs)", rest, which):
        own = _array("I", bytes.fromhex(hashes))
        found += zip(own, _array("Q", bytes.fromhex(refs)), strict=True)
    _LOOKUP.run(db, sorted(found))
    db.execute("delete from run where n in (select value from json_each(?))", which)


def there(db: sqlite3.Connection) -> bool:
    """Whether this file has runs: archives and ledgers of before schema 4 never do."""
    sql = "select exists (select 1 from sqlite_schema where name = 'run')"
    return bool(db.execute(sql).fetchone()[0])


def refs(db: sqlite3.Connection, hashes: Iterable[int]) -> set[int]:
    """What these hashes lead to in runs; some of it wrongly, a hash has 32 bits."""
    by_slice: dict[int, list[int]] = {}
    for hash_ in hashes:
        by_slice.setdefault(hash_ >> _SHIFT, []).append(hash_)
    numbers = _numbers(db, by_slice)
    found: dict[int, list[int]] = {}
    rest = "from run where n in (select value from json_each(?))"
    for number, octets in fetch(db, "n, hex(hashes)", rest, (_json(numbers),)):
        own = bytes.fromhex(octets)
        for hash_ in by_slice[number & SLICES - 1]:
            if places := _places(own, hash_):
                found.setdefault(number, []).extend(places)
    result: set[int] = set()
    for number, octets in fetch(db, "n, hex(refs)", rest, (_json(found),)) if found else ():
        own_refs = _array("Q", bytes.fromhex(octets))
        result.update([own_refs[at] for at in found[number]])
    return result


def gathered_refs(db: sqlite3.Connection, hashes: Iterable[int]) -> set[int]:
    """As `refs`, for those in `gathered` alone; reads all of it."""
    which = list(hashes)
    found: set[int] = set()
    for own, refs in fetch(db, "hex(hashes), hex(refs)", "from gathered"):
        octets = bytes.fromhex(own)
        for hash_ in which:
            if places := _places(octets, hash_):
                own_refs = _array("Q", bytes.fromhex(refs))
                found.update([own_refs[at] for at in places])
    return found


def slices(
    db: sqlite3.Connection, before: int, limit: int
) -> list[tuple[int, array[int], array[int]]]:
    """Rows of runs with numbers below `before`, the last first: number, hashes and refs."""
    rest = "from run where n < ? order by n desc limit ?"
    return [
        (n, _array("I", bytes.fromhex(hashes)), _array("Q", bytes.fromhex(refs)))
        for n, hashes, refs in fetch(db, "n, hex(hashes), hex(refs)", rest, (before, limit))
    ]


def gathered(db: sqlite3.Connection) -> list[int]:
    """All refs in `gathered`."""
    return [ref for _, refs in _gathered(db) for ref in refs]


def _take_over(db: sqlite3.Connection) -> None:
    """What a ledger of before schema 4 had gathered."""
    rows = db.execute("select hash, ref from recent").fetchall()
    if rows:
        db.execute("begin immediate")
        db.execute(_GATHERED, _row([row[0] for row in rows], [row[1] for row in rows]))
        db.execute("delete from recent")
        db.execute("commit")


def _gathered(db: sqlite3.Connection) -> list[tuple[array[int], array[int]]]:
    rows = db.execute("select hashes, refs from gathered order by n").fetchall()
    return [(_array("I", hashes), _array("Q", refs)) for hashes, refs in rows]


def _numbers(db: sqlite3.Connection, slices: Iterable[int]) -> list[int]:
    """Of the rows that these slices have in all runs."""
    first, last = span(db)
    which = list(slices)
    runs = range(first >> _BITS, (last >> _BITS) + 1)
    return [run << _BITS | slice_ for run in runs for slice_ in which]


def _places(hashes: bytes, hash_: int) -> list[int]:
    wanted = hash_.to_bytes(4, "little")
    found = []
    at = hashes.find(wanted)
    while at >= 0:
        if not at & 3:
            found.append(at >> 2)
        at = hashes.find(wanted, at + 1)
    return found


def _slices() -> list[tuple[array[int], array[int]]]:
    return [(array("I"), array("Q")) for _ in range(SLICES)]


def _row(hashes: Sequence[int], refs: Sequence[int]) -> tuple[bytes, bytes]:
    return _octets(array("I", hashes)), _octets(array("Q", refs))


def _octets(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _array(kind: str, octets: bytes) -> array[int]:
    numbers: array[int] = array(kind)
    numbers.frombytes(octets)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _json(values: Iterable[int]) -> str:
    return orjson.dumps(list(values)).decode()
