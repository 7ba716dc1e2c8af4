"""Every number that operators see (contract section 7): this file is the list of them.

The daemon counts in plain integers (`tally`) and knows its gauges by looking; Prometheus's
families are built when it scrapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from .account import Account
from .pool import Pool
from .router import Router
from .tally import SECONDS, Histogram, Tally

JOB_OUTCOMES = ("taken", "duplicate", "dead")
SUBMIT_OUTCOMES = ("ok", "throttled", "refused", "unanswered")
REASONS = ("rate", "window", "unbound", "throttled", "backoff")
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

    def _counters(self) -> Iterator[Metric]:
        t = self.tally
        jobs = _counter("jobs", "Records taken from the jobs topics.", ["topic", "outcome"])
        for topic in self.job_topics:
            for outcome in JOB_OUTCOMES:
                jobs.add_metric([topic, outcome], t.jobs.get((topic, outcome), 0))
        yield jobs
        messages = _counter(
            "messages", "Messages entering each state.", ["carrier", "account", "state"]
        )
        for (carrier, name, state), count in list(t.messages.items()):
            messages.add_metric([carrier or "", name or "", state.word], count)
        yield messages
        submits = _counter("submits", "Parts, by their answer.", ["account", "node", "outcome"])
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
            family = _counter(metric, help_text, ["account"])
            for name in self.accounts:
                family.add_metric([name], counts.get(name, 0))
            yield family
        failovers = _counter(
            "failovers", "Nodes lost, by who took over.", ["account", "from", "to"]
        )
        for labels, count in list(t.failovers.items()):
            failovers.add_metric(list(labels), count)
        yield failovers
        blocked = _counter(
            "blocked_seconds", "Seconds that messages waited, by reason.", ["account", "reason"]
        )
        for name in self.accounts:
            for reason in REASONS:
                blocked.add_metric([name, reason], t.blocked.get((name, reason), 0.0))
        yield blocked
        unknown = _counter("unknown_prefix", "Messages to prefixes that the plan lacks.", [])
        unknown.add_metric([], t.unknown_prefix)
        yield unknown

    def _histograms(self) -> Iterator[Metric]:
        t = self.tally
        age = _histogram("age_seconds", "Record produced to first part written.", ["topic"])
        for topic in self.job_topics:
            _observe(age, [topic], t.age[topic])
        yield age
        queue = _histogram("queue_seconds", "Job received to first part written.", ["account"])
        answer = _histogram("answer_seconds", "Part written to its answer.", ["account", "node"])
        delivery = _histogram("delivery_seconds", "Record produced to final report.", ["account"])
        for name, account in self.accounts.items():
            _observe(queue, [name], t.queue[name])
            _observe(delivery, [name], t.delivery[name])
            for node in account.settings.nodes:
                _observe(answer, [name, node.name], t.answer[name, node.name])
        yield from (queue, answer, delivery)
        commit = _histogram("ledger_commit_seconds", "A commit of the ledger.", [])
        _observe(commit, [], t.commit)
        yield commit

    def _gauges(self) -> Iterator[Metric]:
        up = _gauge("bind_up", "Binds logged in (SGIP: usable) now.", ["account", "node"])
        window = _gauge("window_in_use", "Unanswered submits.", ["account", "node"])
        limit = _gauge(
            "window_limit", "Submits that may be unanswered now, all binds.", ["account", "node"]
        )
        rate = _gauge("rate_limit", "Parts per second that may be written.", ["account"])
        waiting = _gauge("waiting", "Messages that wait to be written.", ["account"])
        uncertain = _gauge("uncertain", "Messages in doubt.", ["account"])
        parked = _gauge("parked", "Messages parked in the broker.", ["account"])
        for name, account in self.accounts.items():
            rate.add_metric([name], account.pacer.pace)
            waiting.add_metric([name], account.own_waiting + self.router.waiting(name))
            uncertain.add_metric([name], self.uncertain(name))
            parked.add_metric([name], self.router.parked(name))
            for node in account.settings.nodes:
                up.add_metric([name, node.name], self.pool.up(name, node.name))
                links = self.pool.links(name, node.name)
                window.add_metric([name, node.name], sum(n.session.unanswered for n in links))
                allowed = sum(n.limit(n.loop.time()) for n in links if n.writes)
                limit.add_metric([name, node.name], allowed)
        yield from (up, window, limit, rate, waiting, uncertain, parked)
        outbox = _gauge("outbox_waiting", "Records to publish that the broker has not got.", [])
        outbox.add_metric([], self.outbox())
        yield outbox
        lag = _gauge("broker_lag", "Records behind the end of the topic.", ["topic", "partition"])
        for (topic, partition), behind in self.lag().items():
            lag.add_metric([topic, str(partition)], behind)
        yield lag
        build = _gauge("build_info", "The version that runs.", ["name", "version"])
        build.add_metric([self.name, self.version], 1)
        yield build


def registry(metrics: Metrics) -> CollectorRegistry:
    """What `/metrics` shows: ours and the process's own."""
    from prometheus_client import GCCollector, PlatformCollector, ProcessCollector

    found = CollectorRegistry()
    found.register(metrics)
    ProcessCollector(registry=found)
    PlatformCollector(registry=found)
    GCCollector(registry=found)
    return found


def _counter(name: str, text: str, labels: list[str]) -> CounterMetricFamily:
    return CounterMetricFamily(f"carrierd_{name}", text, labels=labels)


def _gauge(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"carrierd_{name}", text, labels=labels)


def _histogram(name: str, text: str, labels: list[str]) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"carrierd_{name}", text, labels=labels)


def _observe(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    counts = map(float, accumulate(histogram.counts))
    family.add_metric(labels, list(zip(EDGES, counts, strict=True)), histogram.sum)
