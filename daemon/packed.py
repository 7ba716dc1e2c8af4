"""A map from whole numbers to whole numbers in little memory, for keys that lie close together.

A dict costs more than a hundred octets for an entry whose key and value nobody else holds; here it
is eight, where most keys of a block are there.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

BITS: Final = 8
SIZE: Final = 1 << BITS
MASK: Final = SIZE - 1
NOTHING: Final = -(1 << 63)
"""Stands for no value."""
EMPTY: Final = array("q", [*([NOTHING] * SIZE), 0])
"""A block, with the number of its entries behind them."""


class PackedInts:
    """Keys and values fit into 64 bits, and no value is NOTHING.

    >>> ints = PackedInts()
    >>> ints.put(7, -1)
    >>> ints.get(7), ints.pop(7), ints.pop(7) == NOTHING, len(ints)
    (-1, -1, True, 0)
    """

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: dict[int, array[int]] = {}

    def put(self, key: int, value: int) -> None:
        number = key >> BITS
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = EMPTY[:]
        at = key & MASK
        if block[at] == NOTHING:
            block[SIZE] += 1
        block[at] = value

    def put_run(self, key: int, value: int, count: int) -> None:
        """Keys from `key` on, none of which has a value, get values from `value` on."""
        while count > 0:
            number, at = key >> BITS, key & MASK
            block = self._blocks.get(number)
            if block is None:
                block = self._blocks[number] = EMPTY[:]
            size = min(count, SIZE - at)
            block[at : at + size] = array("q", range(value, value + size))
            block[SIZE] += size
            key, value, count = key + size, value + size, count - size

    def get(self, key: int) -> int:
        """The value, or NOTHING."""
        block = self._blocks.get(key >> BITS)
        return NOTHING if block is None else block[key & MASK]

    def pop(self, key: int) -> int:
        """Take the entry out; the value, or NOTHING."""
        number = key >> BITS
        block = self._blocks.get(number)
        if block is None:
            return NOTHING
        at = key & MASK
        value = block[at]
        if value != NOTHING:
            if block[SIZE] == 1:
                del self._blocks[number]
            else:
                block[at] = NOTHING
                block[SIZE] -= 1
        return value

    def pop_all(self, keys: list[int]) -> list[int]:
        """Take these entries out; the values of those that were there.

        The keys rise, each greater than the one before: what follows one another goes in one piece.
        """
        blocks = self._blocks
        values: list[int] = []
        start, end = 0, len(keys)
        while start < end:
            first = keys[start]
            number = first >> BITS
            until = bisect_left(keys, (number + 1) << BITS, start)
            block = blocks.get(number)
            if block is not None:
                at, count = first & MASK, until - start
                found = block[at : at + count]
                if keys[until - 1] - first == count - 1 and NOTHING not in found:
                    values += found
                    block[at : at + count] = EMPTY[at : at + count]
                    block[SIZE] -= count
                else:
                    _pop_each(block, keys[start:until], values)
                if not block[SIZE]:
                    del blocks[number]
            start = until
        return values

    def items(self) -> Iterator[tuple[int, int]]:
        """In the order of the keys if they were put in rising order."""
        for number, block in self._blocks.items():
            first = number << BITS
            for at in range(SIZE):
                if block[at] != NOTHING:
                    yield first + at, block[at]

    def __contains__(self, key: int) -> bool:
        return self.get(key) != NOTHING

    def __len__(self) -> int:
        return sum(block[SIZE] for block in self._blocks.values())


def _pop_each(block: array[int], keys: list[int], values: list[int]) -> None:
    left = block[SIZE]
    for key in keys:
        at = key & MASK
        value = block[at]
        if value != NOTHING:
            values.append(value)
            block[at] = NOTHING
            left -= 1
    block[SIZE] = left
