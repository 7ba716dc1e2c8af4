"""Contract, section 7: metrics and health."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from .gateways import SILENT, Answer, Report, failed, refused
from .process import until
from .together import Together
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
alone = Together("tmp_path", at_once=4)

COUNTERS = {
    "carrierd_jobs_total": {"topic", "outcome"},
    "carrierd_messages_total": {"carrier", "account", "state"},
    "carrierd_submits_total": {"account", "node", "outcome"},
    "carrierd_inbound_total": {"account"},
    "carrierd_blocked_seconds_total": {"account", "reason"},
    "carrierd_reports_unmatched_total": {"account"},
    "carrierd_reports_late_total": {"account"},
    "carrierd_resent_total": {"account"},
    "carrierd_unknown_prefix_total": set(),
}
GAUGES = {
    "carrierd_bind_up": {"account", "node"},
    "carrierd_window_in_use": {"account", "node"},
    "carrierd_rate_limit": {"account"},
    "carrierd_waiting": {"account"},
    "carrierd_uncertain": {"account"},
    "carrierd_parked": {"account"},
    "carrierd_outbox_waiting": set(),
    "carrierd_broker_lag": {"topic", "partition"},
}
HISTOGRAMS = {
    "carrierd_age_seconds": {"topic"},
    "carrierd_queue_seconds": {"account"},
    "carrierd_answer_seconds": {"account", "node"},
    "carrierd_delivery_seconds": {"account"},
}


async def delivered(four: World, carrier: str = "mobile", **more: object) -> dict:
    one = job(number(carrier), **more)
    await four.daemon.send(one)
    return await four.daemon.final(f"{one['id']}/0")


async def test_every_name_is_there_with_its_labels(four: World) -> None:
    for carrier in four.accounts:
        await delivered(four, carrier)
    found = await four.daemon.metrics()
    for name, labels in {**COUNTERS, **GAUGES}.items():
        assert name in found, name
        for key in found[name]:
            assert labels <= {k for k, _ in key}, (name, key)
            assert {k for k, _ in key} - labels <= {"instance", "name"}, (name, key)
    for name, labels in HISTOGRAMS.items():
        for key in found[f"{name}_bucket"]:
            assert {k for k, _ in key} == labels | {"le"}, (name, key)
    assert any(name.startswith("carrierd_ledger_commit_seconds") for name in found)
    assert "# TYPE carrierd_failovers_total counter" in (await four.daemon.get("/metrics"))[1] or (
        "carrierd_failovers_total" in found
    )


async def test_histograms_resolve_a_millisecond_to_ten_seconds(four: World) -> None:
    await delivered(four)
    found = await four.daemon.metrics()
    for name in HISTOGRAMS:
        edges = sorted({float(dict(key)["le"]) for key in found[f"{name}_bucket"]} - {float("inf")})
        assert edges[0] <= 0.001, name
        assert edges[-1] >= 10.0, name
        assert {5.0, 7.0} <= set(edges), name
        assert len([e for e in edges if 3.0 <= e < 5.0]) >= 1
        assert len([e for e in edges if 5.0 < e < 7.0]) >= 1


async def test_everything_is_counted_where_it_belongs(four: World) -> None:
    metric = four.daemon.metric
    names = [
        ("carrierd_jobs_total", {"topic": "sms.jobs", "outcome": "taken"}),
        ("carrierd_jobs_total", {"topic": "sms.jobs", "outcome": "dead"}),
        (
            "carrierd_messages_total",
            {"carrier": "mobile", "account": "mobile", "state": "accepted"},
        ),
        ("carrierd_messages_total", {"account": "mobile", "state": "delivered"}),
        ("carrierd_messages_total", {"account": "mobile", "state": "undelivered"}),
        ("carrierd_messages_total", {"account": "mobile", "state": "rejected"}),
        ("carrierd_messages_total", {"account": "mobile", "state": "uncertain"}),
        ("carrierd_submits_total", {"account": "mobile", "node": "mobile-1", "outcome": "ok"}),
        ("carrierd_submits_total", {"account": "mobile", "outcome": "throttled"}),
        ("carrierd_submits_total", {"account": "mobile", "outcome": "refused"}),
        ("carrierd_submits_total", {"account": "mobile", "outcome": "unanswered"}),
        ("carrierd_resent_total", {"account": "mobile"}),
        ("carrierd_reports_unmatched_total", {"account": "mobile"}),
        ("carrierd_age_seconds_count", {"topic": "sms.jobs"}),
        ("carrierd_queue_seconds_count", {"account": "mobile"}),
        ("carrierd_answer_seconds_count", {"account": "mobile", "node": "mobile-1"}),
        ("carrierd_delivery_seconds_count", {"account": "mobile"}),
        ("carrierd_delivery_excused_seconds_count", {"account": "mobile"}),
        ("carrierd_failures_total", {"account": "mobile", "fault": "subscriber"}),
        ("carrierd_failures_total", {"account": "mobile", "fault": "sender"}),
    ]
    before = [await metric(name, **labels) for name, labels in names]
    far = four.mobile.far
    jobs = [job(number()) for _ in range(5)]
    for one, answers in zip(
        jobs,
        [
            [Answer()],
            [failed("UNDELIV")],
            [refused(13)],
            [refused(8), Answer()],
            [SILENT, Answer()],
        ],
        strict=True,
    ):
        far.on(one["to"], *answers)
    await four.daemon.send(*jobs)
    await four.daemon.put(b"dead")
    for one in jobs:
        await four.daemon.final(f"{one['id']}/0")
    stranger = far.to(jobs[0]["to"])[0]
    known, stranger.ident = stranger.ident, b"\x12\x34\x56\x78\x9a\xbc\xde\xf0"
    four.mobile.gateway.report(stranger, Report(), to="13700000000")
    unmatched = names.index(("carrierd_reports_unmatched_total", {"account": "mobile"}))
    await four.daemon.reads(names[unmatched][0], before[unmatched] + 1, account="mobile")
    stranger.ident = known
    after = [await metric(name, **labels) for name, labels in names]
    counts = {
        name + "".join(labels.get(key, "") for key in ("outcome", "state", "fault")): b - a
        for (name, labels), a, b in zip(names, before, after, strict=True)
    }
    assert counts == {
        "carrierd_jobs_totaltaken": 5,
        "carrierd_jobs_totaldead": 1,
        "carrierd_messages_totalaccepted": 4,
        "carrierd_messages_totaldelivered": 3,
        "carrierd_messages_totalundelivered": 1,
        "carrierd_messages_totalrejected": 1,
        "carrierd_messages_totaluncertain": 1,
        "carrierd_submits_totalok": 4,
        "carrierd_submits_totalthrottled": 1,
        "carrierd_submits_totalrefused": 1,
        "carrierd_submits_totalunanswered": 1,
        "carrierd_resent_total": 1,
        "carrierd_reports_unmatched_total": 1,
        "carrierd_age_seconds_count": 5,
        "carrierd_queue_seconds_count": 5,
        "carrierd_answer_seconds_count": 6,
        "carrierd_delivery_seconds_count": 4,
        "carrierd_delivery_excused_seconds_count": 1,
        "carrierd_failures_totalsubscriber": 1,
        "carrierd_failures_totalsender": 1,
    }


@alone()
async def test_gauges_show_what_is_now(tmp_path: Path) -> None:
    account = Account(
        "m", "cmpp", "mobile", rate=50, window=4, answer_within=4.0, node_keys=[{"binds": 2}]
    )
    async with world(tmp_path, account, uncertain={"hold": 30.0}) as w:
        metric = w.daemon.metric
        await w.daemon.reads("carrierd_bind_up", 2, account="m", node="m-1")
        assert await metric("carrierd_rate_limit", account="m") == 50
        account.far.default = Answer(after=3.5)  # time enough to look at full windows
        jobs = [job(number()) for _ in range(40)]
        await w.daemon.send(*jobs)
        await until(lambda: len(account.far.submits) == 8)
        await w.daemon.reads("carrierd_window_in_use", 8, account="m", node="m-1")
        assert 25 <= await metric("carrierd_waiting", account="m") <= 40
        await w.daemon.exceeds("carrierd_blocked_seconds_total", 0, account="m", reason="window")
        status = await w.daemon.status()
        (shown,) = status["accounts"]
        assert set(shown) >= {"name", "waiting", "why", "nodes"}
        assert shown["waiting"] >= 25
        assert "window" in json.dumps(shown["why"])
        (node,) = shown["nodes"]
        assert set(node) >= {"name", "binds"}
        assert len(node["binds"]) == 2
        for bind in node["binds"]:
            assert set(bind) >= {
                "state", "since", "last_error", "window", "window_in_use", "why",
            }  # fmt: skip
            assert (bind["window"], bind["window_in_use"]) == (4, 4)
        account.far.default = SILENT
        await until(lambda: w.daemon.published["reports"])
        doubt = job(number())
        await w.daemon.send(doubt)
        await w.daemon.exceeds("carrierd_uncertain", 0, 20.0, account="m")


@alone()
async def test_readiness_says_which_carrier_has_no_account(tmp_path: Path) -> None:
    mobile, telecom = Account("m", "cmpp", "mobile"), Account("t", "smgp", "telecom")
    async with world(tmp_path, mobile, telecom) as w:
        assert (await w.daemon.get("/healthz"))[0] == 200
        assert (await w.daemon.get("/readyz"))[0] == 200
        await telecom.gateway.stop()
        await w.daemon.reads("carrierd_bind_up", 0, account="t")
        code, body = await w.daemon.get("/readyz")
        assert code == 503
        assert "telecom" in body
        assert (await w.daemon.get("/healthz"))[0] == 200
        stuck = job(number("telecom"))
        await w.daemon.send(stuck)
        await w.daemon.exceeds("carrierd_blocked_seconds_total", 0, account="t")
        assert await w.daemon.metric("carrierd_waiting", account="t") == 1
        reasons = {
            dict(key)["reason"]: value
            for key, value in (await w.daemon.metrics())["carrierd_blocked_seconds_total"].items()
            if dict(key)["account"] == "t"
        }
        assert reasons["unbound"] > 0
        status = await w.daemon.status()
        (shown,) = [a for a in status["accounts"] if a["name"] == "t"]
        assert shown["waiting"] == 1
        assert shown["why"]
        assert shown["nodes"][0]["binds"][0]["last_error"]
        await telecom.gateway.start()
        assert (await w.daemon.final(f"{stuck['id']}/0"))["state"] == "delivered"


async def test_the_lag_is_what_is_behind(four: World) -> None:
    await delivered(four)
    async with asyncio.timeout(30.0):
        while await four.daemon.metric("carrierd_broker_lag", topic="sms.jobs"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    found = (await four.daemon.metrics())["carrierd_broker_lag"]
    assert (("partition", "0"), ("topic", "sms.jobs")) in found
    assert found[(("partition", "0"), ("topic", "sms.jobs"))] == 0


async def test_nothing_that_the_daemon_did_breaks_the_contract(four: World) -> None:
    assert four.faults() == []
