"""Claims: dropped when the last message they name is safe, once, and not before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.claims import Claim, Claims, Named, pack, pack_all, unpack


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.randoms())
def test_each_claim_is_done_with_its_last_message(sizes: list[int], random: object) -> None:
    claims = Claims(100)
    numbers = {claims.make(size): size for size in sizes}
    order = [number for number, size in numbers.items() for _ in range(size)]
    random.shuffle(order)  # type: ignore[attr-defined]
    left = dict(numbers)
    for number in order:
        claims.release(number)
        left[number] -= 1
        assert claims.done() == ([number] if not left[number] else [])
    claims.release(order[0])
    assert claims.done() == []


def test_neighbours_are_released_together() -> None:
    claims = Claims(100)
    claim = claims.make(5)
    claims.release(claim, 3)
    assert claims.done() == []
    claims.release(claim, 2)
    assert claims.done() == [claim]


def test_a_later_claim_has_a_higher_number() -> None:
    claims = Claims(7)
    assert [claims.make(1) for _ in range(3)] == [7, 8, 9]


def test_a_claim_comes_back_from_the_ledger_as_it_went() -> None:
    claims = [Claim("a", [Named(1 << 10, 200, 3, "n1")]), Claim("b", [])]
    assert unpack(pack_all(claims)) == claims
    assert unpack(pack("a", [(1 << 10, 200, 3, "n1")])) == claims[:1]
