"""What operators told accounts and nodes to do: `paused`, or `drained`.

A hold is kept by name, so it outlives a reload, also one that takes the account out of the file
and brings it back.  A restart forgets all of them: whoever starts a daemon wants it to work, and
nobody has to look for what somebody said weeks ago.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

How = Literal["paused", "drained"]
"""`paused`: logged in, takes no submits.  `drained`: logged out when its answers have come."""


class Hold(NamedTuple):
    """`since` is wall time, `uid` the user who said so."""

    how: How
    since: float
    uid: int


class HeldWhole(Exception):  # noqa: N818  # an answer to the operator
    """One node cannot be let go while its account is held as a whole."""


class Holds:
    """By account and node; None as a node stands for all of the account's, future ones too."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str | None], Hold] = {}

    def of(self, account: str, node: str | None = None) -> Hold | None:
        """What holds: where account and node are held both, the stronger of the two."""
        whole = self._of.get((account, None))
        own = self._of.get((account, node)) if node is not None else None
        if whole is None or own is None:
            return whole or own
        return own if own.how == "drained" and whole.how != "drained" else whole

    def put(self, account: str, node: str | None, hold: Hold) -> None:
        """The last word counts: a pause after a drain logs in again."""
        self._of[account, node] = hold

    def lift(self, account: str, node: str | None = None) -> bool:
        """Whether anything was held.  Without a node all of the account's nodes are let go.

        Raises HeldWhole for a node of an account that is held as a whole.
        """
        if node is not None:
            if (account, None) in self._of:
                raise HeldWhole(account)
            return self._of.pop((account, node), None) is not None
        mine = [key for key in self._of if key[0] == account]
        for key in mine:
            del self._of[key]
        return bool(mine)
