"""Many rows in one statement.

Python's sqlite3 gives the GIL away around every step of a statement.  `executemany` steps once
per row, and beside a loop that always has something to do each row then waits for its turn: the
switch interval, 5 ms.  One statement for a whole batch waits once.  The figures that chose
multi-row `values` over `json_each` are in `writer.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

# For octets and None sqlite3 looks for a way to adapt them, each time anew, for half a microsecond.
sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(type(None), lambda none: none)

MAX_PARAMETERS = 4096
"""More make the compiled statement outgrow the processor's cache (20 % slower at 10,000)."""


MANY = 8
"""Rows that are worth a statement of their own."""


def stepped(count: int) -> int:
    """`count` rounded up to 1-8, 10, 12, 14, 16, 20, 24, …: few texts to keep, little to fill."""
    shift = max(count.bit_length() - 3, 0)
    return -(-count >> shift) << shift


class Bulk:
    """`head values (…), (…) tail` for any number of rows, one statement where they fit.

    The texts come in few sizes, so that their compiled form is found again; a batch is filled up
    with repeats of its last row.  That row is written more than once, so `tail` (or the verb) has
    to make a repeat harmless.  What is the same for all rows is bound once, ahead of them: as many
    values as `shared` says begin every row, and others are those of a `?` in the head.

    Only one that is named again has a number: SQLite keeps those in a list that it walks for each
    one, as it compiles a statement and, from Python 3.12 on, whenever values are bound.  A number
    is no name (python/cpython#117995), though 3.12.0 to 3.12.3 warn of it, to whom asks for that.
    Without it, the value bound for each row or selected beside them, a row takes 2-3 % more.
    """

    __slots__ = ("_columns", "_head", "_most", "_shared", "_tail", "_texts")

    def __init__(self, head: str, columns: int, tail: str = "", *, shared: int = 0) -> None:
        """`columns` are a row's own."""
        self._head = head
        self._columns = columns
        self._tail = tail
        self._shared = shared
        most = (MAX_PARAMETERS - 1) // (columns + max(shared - 1, 0))
        shift = most.bit_length() - 3
        self._most = most >> shift << shift
        self._texts: dict[int, str] = {}

    def run(
        self, db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], same: tuple[Any, ...] = ()
    ) -> None:
        """`same` is bound ahead of the rows."""
        for start in range(0, len(rows), self._most):
            some = list(rows[start : start + self._most])
            size = stepped(len(some))
            some += some[-1:] * (size - len(some))
            parameters = [*same, *chain.from_iterable(some)]
            text = self._texts.get(size)
            if text is None:
                text = self._texts[size] = self._text(size)
            db.execute(text, parameters)

    def _text(self, size: int) -> str:
        columns = [f"?{number}" for number in range(1, self._shared + 1)]
        row = f"({','.join(columns + ['?'] * self._columns)})"
        return f"{self._head} values {','.join([row] * size)} {self._tail}"


class Alike:
    """As `Bulk`, for rows of which many say the same in some columns: that is bound once for all of
    them, which saves a quarter of what a row takes.  Their order is not kept: a key comes once.
    """

    __slots__ = ("_any", "_own", "_same", "_says", "_shared")

    def __init__(
        self,
        verb: str,
        names: Sequence[str],
        same: Sequence[str],
        tail: str = "",
        *,
        shared: Sequence[str] = (),
    ) -> None:
        """`names` are a row's columns, two or more of them the `same` in many; `shared` is the same
        in all, and not in the rows.
        """
        own = [name for name in names if name not in same]
        self._says = itemgetter(*[names.index(name) for name in same])
        self._own = itemgetter(*[names.index(name) for name in own])
        self._same = Bulk(
            f"{verb} ({','.join([*shared, *same, *own])})",
            len(own),
            tail,
            shared=len(shared) + len(same),
        )
        self._any = Bulk(
            f"{verb} ({','.join([*shared, *names])})", len(names), tail, shared=len(shared)
        )

    def run(self, db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], *shared: object) -> None:
        by_saying: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        last: tuple[Any, ...] = ()
        same: list[tuple[Any, ...]] = []
        for row, says in zip(rows, map(self._says, rows), strict=True):
            if says != last:
                last = says
                same = by_saying.setdefault(says, [])
            same.append(row)
        others: list[tuple[Any, ...]] = []
        for says, same in by_saying.items():
            if len(same) < MANY:
                others += same
            else:
                self._same.run(db, list(map(self._own, same)), (*shared, *says))
        self._any.run(db, others, shared)


def real(column: str) -> str:
    """`column` for `fetch`, with all its digits: SQLite's JSON would keep 15 of them."""
    return f"json(case when {column} is null then 'null' else quote({column}) end)"


def fetch(
    db: sqlite3.Connection, columns: str, rest: str, parameters: Sequence[Any] = ()
) -> list[list[Any]]:
    """`select columns rest` in one step, as above; blobs go through `hex()`.

    `rest` may order the rows: the aggregate takes them as they come.
    """
    # What is put together here was written in this package; values are bound.
    sql = f"select group_concat(r) from (select json_array({columns}) as r {rest})"  # noqa: S608
    text: str | None = db.execute(sql, parameters).fetchone()[0]
    rows: list[list[Any]] = orjson.loads(f"[{text or ''}]")
    return rows
