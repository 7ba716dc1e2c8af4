"""Whether the instances that share an account can all work with their shares.

The file is the same on all hosts, so each of them finds the faults of all.
"""

from __future__ import annotations

from .hints import shown
from .lines import Place
from .reading import Reader, Table
from .shares import deal, parts, portion, within


def apply(reader: Reader, account: Table, instance: str | None) -> None:
    """Adds what is wrong or odd in an account's `shares`, as seen by `instance`."""
    shares: dict[str, float | None] | None = account.get("shares")
    if not shares:
        return
    path = (*account.path, "shares")
    if instance is not None and instance not in shares:
        reader.fault(
            path,
            f"has no {shown(instance)}, which this instance is called (daemon.name), allowed is a "
            "table of all instances that use the account",
        )
    weights = {name: weight for name, weight in shares.items() if weight is not None}
    if len(weights) < len(shares):
        return
    rate: float | None = account.get("rate")
    if rate is not None:
        for name, part in parts(weights).items():
            if (own := portion(rate, part)) < 1:
                reader.fault(
                    (*path, name),
                    f"has {own:.3g} parts per second of {rate:g}, allowed is a weight that makes "
                    "it 1 or more",
                )
    nodes: tuple[Table, ...] = account.get("nodes") or ()
    listed = [node.get("binds") for node in nodes]
    priorities = [node.get("priority") for node in nodes]
    most = account.get("max_binds")
    if most is not None and listed and None not in listed and None not in priorities:
        _dealt(reader, path, deal(within(listed, most), priorities, weights), priorities)


def _dealt(
    reader: Reader, path: Place, dealt: dict[str, tuple[int, ...]], priorities: list[int]
) -> None:
    whole = sum(map(sum, dealt.values()))
    for name, binds in dealt.items():
        best = [
            count
            for count, priority in zip(binds, priorities, strict=True)
            if priority == min(priorities)
        ]
        if not any(binds):
            reader.fault(
                (*path, name),
                f"has none of the account's {whole} bind{'s' if whole != 1 else ''}, allowed is a "
                "weight that makes it one or more",
            )
        elif not any(best):
            reader.warn(
                (*path, name), f"has no bind to a node of priority {min(priorities)}, the preferred"
            )
