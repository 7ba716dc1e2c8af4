"""Every number that operators see (contract section 7): this file and `vitals` list them.

Here are those of messages, accounts, nodes and the broker, there those of the process and its
host.  The daemon counts in plain integers (`tally`) and knows its gauges by looking; Prometheus's
families are built when it scrapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, permutations

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from .account import Account
from .bind import STATES as BIND_STATES
from .config import Address
from .listen import Listener
from .model import State
from .pool import Pool
from .router import CARRIERS, Router
from .tally import SECONDS, Histogram, Tally

JOB_OUTCOMES = ("taken", "duplicate", "dead")
SUBMIT_OUTCOMES = ("ok", "throttled", "refused", "unanswered")
REASONS = ("rate", "window", "unbound", "throttled", "backoff", "paused", "drained")
MESSAGE_STATES = (
    *(State.ACCEPTED, State.UNCERTAIN),
    *(State.DELIVERED, State.UNDELIVERED, State.REJECTED, State.EXPIRED),
)
"""Those that messages enter by an event."""
EDGES = [*map(str, SECONDS), "+Inf"]


class Metrics(Collector):
    """Register one; `uncertain(account)`, `lag()` and `outbox()` say what is waiting."""

    def __init__(
        self,
        *,
        tally: Tally,
        accounts: Mapping[str, Account],
        pool: Pool,
        router: Router,
        job_topics: tuple[str, ...],
        uncertain: Callable[[str], int],
        lag: Callable[[], Mapping[tuple[str, int], int]],
        outbox: Callable[[], int],
        name: str,
        version: str,
    ) -> None:
        self.tally = tally
        self.accounts = accounts
        self.pool = pool
        self.router = router
        self.job_topics = job_topics
        self.uncertain = uncertain
        self.lag = lag
        self.outbox = outbox
        self.name = name
        self.version = version

    def describe(self) -> list[Metric]:
        """Nothing: the families are known only while the daemon runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._counters()
        yield from self._histograms()
        yield from self._gauges()
        yield from self._binds()
        yield from self._routes()

    def _counters(self) -> Iterator[Metric]:
        t = self.tally
        jobs = counter("jobs", "Records taken from the jobs topics.", ["topic", "outcome"])
        for topic in self.job_topics:
            for outcome in JOB_OUTCOMES:
                jobs.add_metric([topic, outcome], t.jobs.get((topic, outcome), 0))
        yield jobs
        messages = counter(
            "messages", "Messages entering each state.", ["carrier", "account", "state"]
        )
        # A counter that begins with its first event hides that one from `rate` and `increase`.
        entered: dict[tuple[str, str, str], int] = {
            (account.settings.carrier, name, state.word): 0
            for name, account in self.accounts.items()
            for state in MESSAGE_STATES
        }
        for (carrier, of, state), count in list(t.messages.items()):
            entered[carrier or "", of or "", state.word] = count
        for labels, count in entered.items():
            messages.add_metric(list(labels), count)
        yield messages
        failures = counter(
            "failures",
            "Messages that ended otherwise than delivered, by whose fault it is.",
            ["carrier", "account", "cause", "fault"],
        )
        for (carrier, of, cause, fault), count in list(t.failures.items()):
            failures.add_metric([carrier or "", of or "", cause, fault], count)
        yield failures
        submits = counter("submits", "Parts, by their answer.", ["account", "node", "outcome"])
        for label, account in self.accounts.items():
            for node in account.settings.nodes:
                for outcome in SUBMIT_OUTCOMES:
                    count = t.submits.get((label, node.name, outcome), 0)
                    submits.add_metric([label, node.name, outcome], count)
        yield submits
        for metric, help_text, counts in (
            ("inbound", "Messages from subscribers.", t.inbound),
            ("reports_unmatched", "Reports whose message is not known.", t.unmatched),
            ("reports_late", "Reports for messages that had their verdict.", t.lates),
            ("resent", "Parts written a second time.", t.resents),
        ):
            family = counter(metric, help_text, ["account"])
            for name in self.accounts:
                family.add_metric([name], counts.get(name, 0))
            yield family
        failovers = counter("failovers", "Nodes lost, by who took over.", ["account", "from", "to"])
        lost = {
            (name, *pair): 0
            for name, account in self.accounts.items()
            for pair in permutations([node.name for node in account.settings.nodes], 2)
        }
        for places, count in (lost | t.failovers).items():
            failovers.add_metric(list(places), count)
        yield failovers
        refused = counter("logins_refused", "Logins that the gateway refused.", ["account", "node"])
        for name, account in self.accounts.items():
            for node in account.settings.nodes:
                times = t.logins_refused.get((name, node.name), 0)
                refused.add_metric([name, node.name], times)
        yield refused
        blocked = counter(
            "blocked_seconds", "Seconds that messages waited, by reason.", ["account", "reason"]
        )
        for name in self.accounts:
            for reason in REASONS:
                blocked.add_metric([name, reason], t.blocked.get((name, reason), 0.0))
        yield blocked
        unknown = counter("unknown_prefix", "Messages to prefixes that the plan lacks.", [])
        unknown.add_metric([], t.unknown_prefix)
        yield unknown
        ahead = counter(
            "produced_ahead", "Messages of records from a second or more in the future.", ["topic"]
        )
        for topic in self.job_topics:
            ahead.add_metric([topic], t.age[topic].ahead)
        yield ahead

    def _histograms(self) -> Iterator[Metric]:
        t = self.tally
        age = histogram("age_seconds", "Record produced to first part written.", ["topic"])
        for topic in self.job_topics:
            observe(age, [topic], t.age[topic])
        yield age
        queue = histogram("queue_seconds", "Job received to first part written.", ["account"])
        answer = histogram("answer_seconds", "Part written to its answer.", ["account", "node"])
        delivery = histogram("delivery_seconds", "Record produced to final report.", ["account"])
        excused = histogram(
            "delivery_excused_seconds",
            "Of delivery_seconds, what failed by the subscriber's fault.",
            ["account"],
        )
        for name, account in self.accounts.items():
            observe(queue, [name], t.queue[name])
            observe(delivery, [name], t.delivery[name])
            observe(excused, [name], t.excused[name])
            for node in account.settings.nodes:
                observe(answer, [name, node.name], t.answer[name, node.name])
        yield from (queue, answer, delivery, excused)
        commit = histogram("ledger_commit_seconds", "A commit of the ledger.", [])
        observe(commit, [], t.commit)
        yield commit

    def _gauges(self) -> Iterator[Metric]:
        up = gauge("bind_up", "Binds logged in (SGIP: usable) now.", ["account", "node"])
        held = gauge("bind_held", "Binds that an operator holds back.", ["account", "node"])
        window = gauge("window_in_use", "Unanswered submits.", ["account", "node"])
        limit = gauge(
            "window_limit", "Submits that may be unanswered now, all binds.", ["account", "node"]
        )
        rate = gauge("rate_limit", "Parts per second that may be written.", ["account"])
        waiting = gauge("waiting", "Messages that wait to be written.", ["account"])
        uncertain = gauge("uncertain", "Messages in doubt.", ["account"])
        parked = gauge("parked", "Messages parked in the broker.", ["account"])
        for name, account in self.accounts.items():
            rate.add_metric([name], account.pace)
            waiting.add_metric([name], account.own_waiting + self.router.waiting(name))
            uncertain.add_metric([name], self.uncertain(name))
            parked.add_metric([name], self.router.parked(name))
            for node in account.settings.nodes:
                up.add_metric([name, node.name], self.pool.up(name, node.name))
                held.add_metric([name, node.name], self.pool.held(name, node.name))
                links = self.pool.links(name, node.name)
                window.add_metric([name, node.name], sum(n.session.unanswered for n in links))
                allowed = sum(n.limit(n.loop.time()) for n in links if n.taking)
                limit.add_metric([name, node.name], allowed)
        yield from (up, held, window, limit, rate, waiting, uncertain, parked)
        outbox = gauge("outbox_waiting", "Records to publish that the broker has not got.", [])
        outbox.add_metric([], self.outbox())
        yield outbox
        lag = gauge("broker_lag", "Records behind the end of the topic.", ["topic", "partition"])
        for (topic, partition), behind in self.lag().items():
            lag.add_metric([topic, str(partition)], behind)
        yield lag
        build = gauge("build_info", "The version that runs.", ["name", "version"])
        build.add_metric([self.name, self.version], 1)
        yield build

    def _binds(self) -> Iterator[Metric]:
        """Of accounts that are configured now: a reload may have taken some away."""
        binds = gauge("binds", "Binds, by what they are doing.", ["account", "node", "state"])
        configured = gauge("binds_configured", "Binds to hold.", ["account", "node"])
        for name, account in self.accounts.items():
            held = self.pool.binds.get(name, ())
            for node in account.settings.nodes if held else ():
                states = [bind.state for bind in held if bind.node.name == node.name]
                configured.add_metric([name, node.name], len(states))
                for state in BIND_STATES:
                    binds.add_metric([name, node.name, state], states.count(state))
        yield from (binds, configured)

    def _routes(self) -> Iterator[Metric]:
        info = gauge("account_info", "The accounts.", ["account", "carrier", "protocol"])
        usable = gauge("account_usable", "Whether a bind of it can take submits.", ["account"])
        rate = gauge("rate_configured", "Parts per second by configuration.", ["account"])
        for name, account in self.accounts.items():
            if name not in self.pool.binds:
                continue
            settings = account.settings
            info.add_metric([name, settings.carrier, settings.protocol], 1)
            usable.add_metric([name], self.pool.usable(name))
            rate.add_metric([name], settings.rate)
        route = gauge(
            "route_usable",
            "Whether numbers of the carrier have a usable account.",
            ["carrier"],
        )
        for carrier in CARRIERS:
            accounts = self.router.queues[carrier].accounts
            if accounts:
                route.add_metric([carrier], any(self.pool.usable(name) for name in accounts))
        yield from (info, usable, rate, route)


class Entries(Collector):
    """Register one: who is turned away where carriers connect to us."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = listeners

    def describe(self) -> list[Metric]:
        """Nothing: the families are known only while the daemon runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        refused = counter(
            "listen_refused", "Carriers' connections that were turned away.", ["listen", "reason"]
        )
        for listener in self.listeners:
            for reason, times in listener.refused.items():
                refused.add_metric([str(Address(listener.host, listener.port)), reason], times)
        yield refused


def registry(*collectors: Collector) -> CollectorRegistry:
    """What `/metrics` shows: ours and the process's own."""
    from prometheus_client import GCCollector, PlatformCollector, ProcessCollector

    found = CollectorRegistry()
    for collector in collectors:
        found.register(collector)
    ProcessCollector(registry=found)
    PlatformCollector(registry=found)
    GCCollector(registry=found)
    return found


def counter(name: str, text: str, labels: list[str]) -> CounterMetricFamily:
    return CounterMetricFamily(f"carrierd_{name}", text, labels=labels)


def gauge(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"carrierd_{name}", text, labels=labels)


def histogram(name: str, text: str, labels: list[str]) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"carrierd_{name}", text, labels=labels)


def observe(family: HistogramMetricFamily, labels: list[str], seen: Histogram) -> None:
    counts = map(float, accumulate(seen.counts))
    family.add_metric(labels, list(zip(EDGES, counts, strict=True)), seen.sum)
