"""Backing off: from gateways that say "slower", and from those that only become so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from daemon import account as accounts
from daemon.metrics import Metrics
from daemon.recovery import durable

from .conftest import MakeDesk
from .desk import Desk, Peer, Terms

LONG = "字" * 500  # eight parts
STEP = 0.01


class Gateway:
    """Answers on a peer: one after the other, `capacity` a second, `throttles(n)` the n-th."""

    def __init__(
        self,
        peer: Peer,
        capacity: float = 1e9,
        latency: float = 0.0,
        throttles: Callable[[int], bool] = lambda n: False,
        limit: float = 1e9,
    ) -> None:
        self.peer, self.capacity, self.latency, self.throttles = peer, capacity, latency, throttles
        self.limit = limit
        """Parts that it takes within one second; it throttles what comes above."""
        self.free_at = 0.0
        self.owed: list[tuple[float, int]] = []
        self.taken: list[float] = []
        self.latencies: list[tuple[float, float]] = []
        self.most = 0
        self._count = 0

    def turn(self) -> None:
        now = self.peer.now
        for sequence, _, write in self.peer.written():
            self.free_at = max(self.free_at, now) + 1 / self.capacity
            self.owed.append((self.free_at + self.latency, sequence))
            self.latencies.append((write.at, self.free_at + self.latency - write.at))
        self.most = max(self.most, self.peer.wire.unanswered)
        while self.owed and self.owed[0][0] <= now:
            sequence = self.owed.pop(0)[1]
            self._count += 1
            if self.throttles(self._count) or self.since(1.0) >= self.limit:
                self.peer.refuses(sequence, "8", throttled=True)
            else:
                self.taken.append(now)
                self.peer.accepts(sequence)

    def since(self, seconds: float) -> int:
        """Parts taken in the last so many seconds."""
        return sum(at > self.peer.now - seconds for at in self.taken)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The loop's time is what `clock.now` says; only the ledger's disk takes its own."""
    loop = asyncio.get_running_loop()
    clock = SimpleNamespace(now=loop.time())
    monkeypatch.setattr(loop, "time", lambda: clock.now)
    return clock


async def run(clock: SimpleNamespace, desk: Desk, seconds: float, *gateways: Gateway) -> None:
    end = clock.now + seconds
    while clock.now < end:
        clock.now += STEP
        for _ in range(2):
            await durable(desk.app.ledger)
            await asyncio.sleep(0)
        for gateway in gateways:
            gateway.turn()


async def offer(desk: Desk, count: int, name: str = "j") -> None:
    await desk.take(*({"id": f"{name}{n}"} for n in range(count)))


def gauge(desk: Desk, name: str) -> dict[tuple[str, ...], float]:
    metrics = Metrics(
        tally=desk.app.tally,
        accounts=desk.app.accounts,
        pool=desk.app.pool,
        router=desk.app.router,
        job_topics=(),
        uncertain=lambda account: 0,
        lag=dict,
        outbox=lambda: 0,
        name="desk",
        version="0",
    )
    (family,) = [family for family in metrics.collect() if family.name == f"carrierd_{name}"]
    return {tuple(s.labels.values()): s.value for s in family.samples}


def show_links(desk: Desk, monkeypatch: pytest.MonkeyPatch, *peers: Peer) -> None:
    """Have the pool know the links of peers, which no bind of its own made."""
    monkeypatch.setattr(
        desk.app.pool,
        "links",
        lambda account, node: [peer.link for peer in peers if peer.link.label == node],
    )


async def test_a_full_gateway_is_kept_busy_with_a_short_queue_and_status_says_why(
    make_desk: MakeDesk, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await make_desk(Terms(rate=500, window=64, extra="min_rate = 5"))
    peer = desk.peer()
    show_links(desk, monkeypatch, peer)
    gateway = Gateway(peer, latency=0.01)
    await offer(desk, 900)
    await run(clock, desk, 0.7, gateway)
    assert gauge(desk, "window_limit") == {("a", "n1"): 64}
    gateway.capacity = 60.0
    await run(clock, desk, 5.0, gateway)
    assert peer.link.limit(peer.now) <= 32
    assert peer.account.pacer.pace >= 5
    assert gauge(desk, "window_limit") == {("a", "n1"): peer.link.limit(peer.now)}
    assert desk.app.status.why("a", peer.now) == "throttled"
    late = [latency for at, latency in gateway.latencies if at > peer.now - 1.0]
    assert max(late) <= 0.75, "64 in flight would be more than a second"
    assert gateway.since(2.0) >= 0.9 * 2 * 60


async def test_without_adapt_a_full_gateway_gets_all_the_window_holds(
    make_desk: MakeDesk, clock: SimpleNamespace
) -> None:
    desk = await make_desk(Terms(rate=500, window=64, extra="adapt = false"))
    peer = desk.peer()
    gateway = Gateway(peer, latency=0.01)
    await offer(desk, 700)
    await run(clock, desk, 0.5, gateway)
    gateway.capacity = 60.0
    await run(clock, desk, 3.0, gateway)
    assert peer.link.limit(peer.now) == 64
    assert peer.account.pacer.pace == 500
    assert desk.app.status.why("a", peer.now) == "window"
    # ... and what the gateway says in so many words counts all the same.
    sequence = gateway.owed.pop(0)[1]
    peer.refuses(sequence, "8", throttled=True)
    assert peer.link.limit(peer.now) == 0
    assert peer.account.pacer.pace == pytest.approx(350)
    assert desk.app.status.why("a", peer.now) == "throttled"


async def test_long_messages_keep_to_the_window_that_is_left(
    make_desk: MakeDesk, clock: SimpleNamespace
) -> None:
    desk = await make_desk(Terms(rate=500))
    peer = desk.peer()
    peer.link.window._limit, peer.link.window._grows_at = 3.0, peer.now + 60
    gateway = Gateway(peer, latency=0.01)
    await desk.take(*({"id": f"j{n}", "text": LONG} for n in range(4)))
    await run(clock, desk, 0.8, gateway)
    assert len(gateway.taken) == 32
    assert gateway.most == 3


async def test_binds_of_a_node_share_what_is_known_of_its_latency_and_a_new_one_starts_with_it(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(nodes=(("n1", 1), ("n2", 1)), extra="min_rate = 30"))
    first, second, other = desk.peer(node="n1"), desk.peer(node="n1"), desk.peer(node="n2")
    assert first.link.window is second.link.window is not other.link.window
    assert (first.link.window.links, first.link.window.share) == (2, 10)
    first.lost()
    assert (second.link.window.links, second.link.window.share) == (1, 15)
    assert desk.peer(node="n1").link.window is second.link.window


async def test_a_message_throttled_at_one_node_goes_to_the_other(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(Terms(nodes=(("n1", 1), ("n2", 1))))
    one, other = desk.peer(node="n1"), desk.peer(node="n2")
    await desk.take({"id": "j"})
    here, there = (one, other) if (wrote := one.written()) else (other, one)
    [(sequence, _, _)] = wrote or await desk.written(here)
    here.refuses(sequence, "8", throttled=True)
    [(sequence, _, _)] = await desk.written(there)
    there.accepts(sequence)
    await desk.settle()
    assert desk.states("j/0") == ["accepted"]


async def test_of_a_message_that_was_taken_in_part_the_rest_stays_with_its_bind(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(Terms(nodes=(("n1", 1), ("n2", 1))))
    one, other = desk.peer(node="n1"), desk.peer(node="n2")
    await desk.take({"id": "j", "text": "字" * 130})
    here, there = (one, other) if (wrote := one.written()) else (other, one)
    wrote = wrote or await desk.written(here)
    while len(wrote) < 2:
        wrote += await desk.written(here)
    here.accepts(wrote[0][0])
    here.refuses(wrote[1][0], "8", throttled=True)
    assert len(await desk.written(here)) == 1
    assert not there.written()


async def test_one_of_two_nodes_that_throttles_every_second_answer_leaves_the_other_at_full_speed(
    make_desk: MakeDesk, clock: SimpleNamespace
) -> None:
    desk = await make_desk(Terms(rate=300, nodes=(("n1", 1), ("n2", 1))))
    bad = Gateway(desk.peer(node="n1"), latency=0.02, throttles=lambda n: n % 2 == 0)
    good = Gateway(desk.peer(node="n2"), latency=0.02)
    await offer(desk, 900)
    await run(clock, desk, 2.5, bad, good)
    account = desk.app.accounts["a"]
    assert account.pacer.pace == 300, "one node's trouble is not the account's"
    assert good.peer.link.limit(good.peer.now) == 16
    wrote = sum(at > good.peer.now - 1.5 for g in (bad, good) for at, _ in g.latencies)
    assert wrote >= 0.85 * 1.5 * 300
    assert good.since(1.5) >= 0.6 * wrote
    # It is well again: both carry the load, within seconds.
    bad.throttles = lambda n: False
    await offer(desk, 1200, "k")
    await run(clock, desk, 3.0, bad, good)
    late = [gateway.since(1.0) for gateway in (bad, good)]
    assert min(late) >= 0.25 * sum(late)
    assert sum(late) >= 0.85 * 300


async def test_a_gateway_that_takes_less_than_the_rate_gets_nearly_all_it_takes(
    make_desk: MakeDesk, clock: SimpleNamespace
) -> None:
    desk = await make_desk(Terms(rate=200))
    gateway = Gateway(desk.peer(), latency=0.02, limit=90)
    await offer(desk, 900)
    await run(clock, desk, 7.0, gateway)
    assert gateway.since(5.0) >= 0.8 * 5 * 90
    wrote = sum(at > gateway.peer.now - 5.0 for at, _ in gateway.latencies)
    assert wrote - gateway.since(5.0) <= 0.15 * wrote, "and is not bothered with more"


async def test_when_all_nodes_throttle_the_pace_is_cut_no_further_than_the_lowest_and_recovers(
    make_desk: MakeDesk, clock: SimpleNamespace
) -> None:
    desk = await make_desk(Terms(rate=200, extra="min_rate = 120"))
    gateway = Gateway(desk.peer(), latency=0.02, throttles=lambda n: True)
    await offer(desk, 600)
    await run(clock, desk, 1.5, gateway)
    account = desk.app.accounts["a"]
    assert account.pacer.pace < 200
    assert account.pacer.pace >= 120
    gateway.throttles = lambda n: False
    await run(clock, desk, 3.0, gateway)
    assert gateway.since(0.5) >= 0.9 * 0.5 * 120
    account.pacer.ready(gateway.peer.now + 10.0)
    assert account.pacer.pace == 200


async def test_the_pace_that_is_shown_grows_back_while_nothing_is_written(
    make_desk: MakeDesk, clock: SimpleNamespace
) -> None:
    desk = await make_desk(Terms(rate=200))
    gateway = Gateway(desk.peer(), latency=0.02, throttles=lambda n: n == 1)
    await offer(desk, 1)
    await run(clock, desk, 1.0, gateway)
    assert desk.states("j0/0") == ["accepted"]
    before = gauge(desk, "rate_limit")["a",]
    clock.now += 10.0
    assert before < 200
    assert gauge(desk, "rate_limit") == {("a",): 200}
    [shown] = desk.app.status.show()["accounts"]
    assert shown["rate_now"] == 200
