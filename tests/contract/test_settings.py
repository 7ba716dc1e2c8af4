"""Contract, section 3: every key of an account does what it says."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import pytest_asyncio

from .gateways import SILENT, Answer, refused
from .process import toml, until
from .together import Together
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
alone = Together("tmp_path", at_once=4)
LONG = "测试长短信" * 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quirks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An account for each quirk; jobs name the one they want."""
    short = Account("short", "cmpp", "mobile", login="9001", md5_pad=True)
    short.gateway.pad = True
    async with world(
        tmp_path_factory.mktemp("quirks"),
        Account("c20", "cmpp", "mobile", version="2.0", service_id="OLD"),
        Account("c64", "cmpp", "mobile", udhi=64),
        Account("wide", "cmpp", "mobile", long="udh16"),
        Account("gbk", "cmpp", "mobile", encoding="gbk"),
        Account("ucs2", "cmpp", "mobile", encoding="ucs2"),
        Account("ascii", "cmpp", "mobile", encoding="ascii"),
        Account("slow", "cmpp", "mobile", throttle_codes=[77, 13]),
        Account("signs", "cmpp", "mobile", signature_by="gateway"),
        short,
        Account("plain", "cmpp", "mobile", login="9001"),
        Account("many", "cmpp", "mobile", max_destinations=50),
        Account("sar", "smpp", "broadnet", long="sar", system_type="SMS"),
        Account("payload", "smpp", "broadnet", long="payload"),
        Account("both", "smpp", "broadnet", bind_mode="tx+rx"),
        Account("hex", "smpp", "broadnet", report_id="hex"),
        Account("dec", "smpp", "broadnet", report_id="decimal"),
        Account("text", "smpp", "broadnet", report_id="text"),
        Account("lively", "cmpp", "mobile", keepalive=0.5, answer_within=1.0),
        Account("t-lively", "smgp", "telecom", keepalive=0.5),
        Account("p-lively", "smpp", "broadnet", keepalive=0.5),
        Account("limited", "cmpp", "mobile", max_binds=3, node_keys=[{"binds": 2}, {"binds": 2}]),
        Account("local", "cmpp", "mobile", node_keys=[{"local_address": "127.0.0.9"}]),
        Account("s64", "sgip", "unicom", udhi=64, service_id="SVC"),
        ready=False,
    ) as opened:
        await until(lambda: all(a.gateway.bound for a in opened.accounts.values()), what="binds")
        yield opened


async def delivered(quirks: World, account: str, text: str = "hello", **more: object) -> list:
    """The submits of one job through this account, in part order."""
    carrier = quirks.accounts[account].keys["carrier"]
    one = job(number(carrier), text, account=account, **more)
    await quirks.daemon.send(one)
    last = await quirks.daemon.final(f"{one['id']}/0")
    assert last["state"] == "delivered", last
    return sorted(quirks.accounts[account].far.to(one["to"]), key=lambda s: s.number)


async def test_cmpp_two_is_spoken(quirks: World) -> None:
    parts = await delivered(quirks, "c20", LONG)
    assert "".join(p.text for p in parts) == LONG
    assert parts[0].fields["service_id"] == "OLD"


@pytest.mark.parametrize("account", ["c64", "s64"])
async def test_udhi_may_be_sixty_four(quirks: World, account: str) -> None:
    assert {p.fields["udhi"] for p in await delivered(quirks, account, LONG)} == {64}
    assert [p.fields["udhi"] for p in await delivered(quirks, account)] == [0]


async def test_udhi_is_one_otherwise(quirks: World) -> None:
    assert {p.fields["udhi"] for p in await delivered(quirks, "slow", LONG)} == {1}


async def test_a_wide_reference_has_sixteen_bits(quirks: World) -> None:
    parts = await delivered(quirks, "wide", LONG)
    assert all(p.header[:3] == b"\x06\x08\x04" for p in parts)
    assert all(len(p.content) <= 140 for p in parts)
    assert "".join(p.text for p in parts) == LONG


async def test_the_encoding_is_the_accounts(quirks: World) -> None:
    (chinese,) = await delivered(quirks, "gbk", "中文短信")
    assert (chinese.coding, chinese.body) == (15, "中文短信".encode("gbk"))
    (plain,) = await delivered(quirks, "ucs2", "plain")
    assert (plain.coding, plain.body) == (8, "plain".encode("utf-16-be"))
    (ascii_,) = await delivered(quirks, "ascii", "plain")
    assert (ascii_.coding, ascii_.body) == (0, b"plain")


async def test_what_the_encoding_cannot_say_is_rejected(quirks: World) -> None:
    one = job(number(), "中文", account="ascii")
    await quirks.daemon.send(one)
    last = await quirks.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["stage"], last["code"]) == ("rejected", "gate", "LOCAL:ENCODING")


async def test_long_gbk_cuts_no_character(quirks: World) -> None:
    text = "a" + "中" * 150
    parts = await delivered(quirks, "gbk", text)
    assert "".join(p.body.decode("gbk") for p in parts) == text
    assert all(len(p.content) <= 140 for p in parts)


async def test_throttle_codes_add_to_the_usual_ones(quirks: World) -> None:
    for code in (77, 13, 8):
        to = number()
        quirks.accounts["slow"].far.on(to, refused(code), Answer())
        one = job(to, account="slow")
        await quirks.daemon.send(one)
        last = await quirks.daemon.final(f"{one['id']}/0")
        assert (last["state"], last["attempts"]) == ("delivered", 1)


async def test_the_gateway_may_put_the_signature(quirks: World) -> None:
    (part,) = await delivered(quirks, "signs", "内容", signature="交警")
    assert part.text == "内容"


async def test_a_signature_put_by_the_gateway_is_counted_in_the_bill(quirks: World) -> None:
    one = job(number(), "字" * 69, account="signs", signature="交警")
    await quirks.daemon.send(one)
    last = await quirks.daemon.final(f"{one['id']}/0")
    assert last["bill_units"] == 2


async def test_a_short_login_is_padded_in_the_digest_when_wished(quirks: World) -> None:
    await delivered(quirks, "short")
    await delivered(quirks, "plain")


async def test_several_recipients_share_a_submit_when_allowed(quirks: World) -> None:
    to = [number() for _ in range(30)]
    one = job(to, account="many")
    await quirks.daemon.send(one)
    for index in range(30):
        last = await quirks.daemon.final(f"{one['id']}/{index}")
        assert last["state"] == "delivered"
        assert last["to"] == to[index]


async def test_smpp_may_use_sar(quirks: World) -> None:
    parts = await delivered(quirks, "sar", LONG)
    assert [(p.number, p.total) for p in parts] == [(1, 3), (2, 3), (3, 3)]
    assert all(not p.fields["esm"] & 0x40 and 0x020C in p.fields["tlvs"] for p in parts)
    assert "".join(p.text for p in parts) == LONG
    assert quirks.accounts["sar"].far.logins[0].fields["system_type"] == "SMS"


async def test_smpp_may_use_a_payload(quirks: World) -> None:
    (part,) = await delivered(quirks, "payload", LONG)
    assert part.fields["tlvs"][0x0424] == LONG.encode("utf-16-be")
    assert part.text == LONG


async def test_smpp_may_bind_twice(quirks: World) -> None:
    gateway = quirks.accounts["both"].gateway
    assert sorted(gateway.modes) == ["rx", "tx"]
    await delivered(quirks, "both")
    await gateway.inbound("13300000001", quirks.accounts["both"].far.access_number, b"\0A")


async def test_a_report_id_may_be_hexadecimal_or_decimal_or_as_answered(quirks: World) -> None:
    quirks.accounts["hex"].gateway.reversed = True
    quirks.accounts["dec"].gateway.hexadecimal = True
    for account in ("hex", "dec", "text"):
        await delivered(quirks, account)


async def test_the_login_names_the_version(quirks: World) -> None:
    fields = {name: a.far.logins[0].fields for name, a in quirks.accounts.items()}
    assert (fields["c20"]["version"], fields["c64"]["version"]) == (0x20, 0x30)
    assert (fields["t-lively"]["version"], fields["t-lively"]["mode"]) == (0x30, 2)
    assert (fields["sar"]["version"], fields["sar"]["mode"]) == (0x34, "trx")
    assert fields["s64"]["node"] == 3025112345


async def test_login_stamps_are_of_the_configured_zone(quirks: World) -> None:
    stamp = quirks.accounts["c64"].far.logins[0].fields["stamp"]
    now = datetime.now(timezone(timedelta(hours=8)))
    told = datetime.strptime(f"{now.year}{stamp}+0800", "%Y%m%d%H%M%S%z")
    assert abs(told - now) < timedelta(minutes=2)


@pytest.mark.parametrize("account", ["lively", "t-lively", "p-lively"])
async def test_a_silent_link_is_tested(quirks: World, account: str) -> None:
    gateway = quirks.accounts[account].gateway
    before = len(gateway.keepalives)
    await until(lambda: len(gateway.keepalives) >= before + 2, what="keepalives")
    # Each is seen as late as it may be, so that only all of them say how far they are apart.
    tests = gateway.keepalives
    assert (tests[-1] - tests[0]) / (len(tests) - 1) >= 0.4


async def test_a_link_that_answers_no_test_is_closed(quirks: World) -> None:
    gateway = quirks.accounts["lively"].gateway
    (connection,) = gateway.bound
    gateway.frozen = True
    began = time.monotonic()
    await until(lambda: connection.closed, what="the end of the connection")
    assert connection.closed - began <= 0.5 + 1.0 + 2.0
    gateway.frozen = False
    await until(lambda: gateway.bound, what="a new connection")


async def test_more_binds_than_allowed_are_not_made(quirks: World) -> None:
    nodes = quirks.accounts["limited"].gateways
    await until(lambda: sum(len(g.bound) for g in nodes) == 3)
    await asyncio.sleep(0.3)
    assert sum(len(g.connections) for g in nodes) == 3
    assert all(g.bound for g in nodes)


async def test_the_local_address_is_the_source(quirks: World) -> None:
    assert quirks.accounts["local"].far.logins[0].peer == "127.0.0.9"


@alone()
async def test_on_uncertain_of_the_configuration_is_wait(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", answer_within=1.0, report_within=4.0)
    async with world(tmp_path, account, uncertain={"hold": 0.3, "then": "wait"}) as w:
        quiet, loud = number(), number()
        account.far.on(quiet, SILENT)
        account.far.on(loud, SILENT, Answer())
        jobs = [job(quiet), job(loud, on_uncertain="resend")]
        await w.daemon.send(*jobs)
        assert (await w.daemon.final(f"{jobs[1]['id']}/0"))["attempts"] == 2
        last = await w.daemon.final(f"{jobs[0]['id']}/0")
        assert (last["state"], last["code"]) == ("expired", "LOCAL:NO_RESP")
        assert len(account.far.to(quiet)) == 1


@alone()
async def test_another_zone_changes_stamps_digests_and_reports(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile")
    async with world(tmp_path, account, daemon={"timezone": "America/New_York"}) as w:
        now = datetime.now(UTC)
        at = now + timedelta(hours=3)
        one = job(number(), expires_at=at.isoformat())
        await w.daemon.send(one)
        last = await w.daemon.final(f"{one['id']}/0")
        from zoneinfo import ZoneInfo

        zone = ZoneInfo("America/New_York")
        w.offset = now.astimezone(zone).utcoffset() or timedelta()
        assert last["times"]["received"].endswith("-05:00") or w.offset != timedelta(hours=-5)
        valid = account.far.submits[0].fields["valid"]
        quarters = int(w.offset.total_seconds() // 900)
        assert valid == at.astimezone(zone).strftime("%y%m%d%H%M%S0") + f"{-quarters:02d}-"
        stamp = account.far.logins[0].fields["stamp"]
        assert stamp[2:6] == now.astimezone(zone).strftime("%d%H")


async def test_secrets_come_from_files_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTSIDE_PASSWORD", "secret-1")
    secret = tmp_path / "password"
    secret.write_text("secret-1\n")
    by_file, by_env = Account("f", "cmpp", "mobile"), Account("e", "cmpp", "mobile")
    del by_file.keys["password"], by_env.keys["password"]
    by_file.keys["password_file"] = str(secret)
    by_env.keys["password_env"] = "OUTSIDE_PASSWORD"
    async with world(tmp_path / "d", by_file, by_env):
        assert by_file.gateway.bound
        assert by_env.gateway.bound


@alone()
async def test_an_id_is_forgotten_after_its_time(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile")
    async with world(tmp_path, account, daemon={"remember_ids": 2.0}, check=False) as w:
        one = job(number())
        await w.daemon.send(one)
        await w.daemon.final(f"{one['id']}/0")
        await asyncio.sleep(3.0)
        await w.daemon.send({**one, "text": "other"})
        await until(lambda: len(account.far.to(one["to"])) == 2, what="the id's second use")
        assert w.daemon.published["dead"] == []


@alone()
async def test_routes_are_followed_in_order(tmp_path: Path) -> None:
    first = Account("first", "cmpp", "mobile")
    second = Account("second", "cmpp", "mobile")
    routes = {"mobile": ["first", "second"], "default": ["second"], "telecom": []}
    async with world(tmp_path, first, second, routes=routes) as w:
        one, unknown, nowhere = job(number()), job("15400000001"), job(number("telecom"))
        await w.daemon.send(one, unknown, nowhere)
        assert (await w.daemon.final(f"{one['id']}/0"))["account"] == "first"
        last = await w.daemon.final(f"{unknown['id']}/0")
        assert (last["state"], last["account"], last["carrier"]) == ("delivered", "second", None)
        last = await w.daemon.final(f"{nowhere['id']}/0")
        assert (last["state"], last["code"]) == ("rejected", "LOCAL:NO_ROUTE")
        await first.gateway.stop()
        await w.daemon.reads("carrierd_bind_up", 0, account="first")
        other = job(number())
        await w.daemon.send(other)
        assert (await w.daemon.final(f"{other['id']}/0"))["account"] == "second"
        await second.gateway.stop()
        await w.daemon.reads("carrierd_bind_up", 0, account="second")
        waiting = job(number())
        await w.daemon.send(waiting)
        await asyncio.sleep(0.5)
        assert w.daemon.events(f"{waiting['id']}/0") == []
        code, body = await w.daemon.get("/readyz")
        assert (code, "mobile" in body) == (503, True)
        await second.gateway.start()
        last = await w.daemon.final(f"{waiting['id']}/0")
        assert last["account"] == "second"
        await first.gateway.start()
        await w.daemon.reads("carrierd_bind_up", 1, account="first")
        again = job(number())
        await w.daemon.send(again)
        assert (await w.daemon.final(f"{again['id']}/0"))["account"] == "first"


@alone()
async def test_a_waiting_message_follows_the_route_when_its_account_goes(tmp_path: Path) -> None:
    first = Account("first", "cmpp", "mobile", rate=5)
    second = Account("second", "cmpp", "mobile")
    async with world(tmp_path, first, second, routes={"mobile": ["first", "second"]}) as w:
        jobs = [job(number()) for _ in range(40)]
        await w.daemon.send(*jobs)
        await until(lambda: len(first.far.submits) >= 3)
        assert second.far.submits == []
        await first.gateway.stop()
        for one in jobs:
            await w.daemon.state(f"{one['id']}/0", "accepted")
        written = len(first.far.submits)
        assert len(second.far.submits) == 40 - written


@alone()
async def test_a_spent_rate_is_still_usable(tmp_path: Path) -> None:
    first = Account("first", "cmpp", "mobile", rate=10, window=1)
    second = Account("second", "cmpp", "mobile")
    async with world(tmp_path, first, second, routes={"mobile": ["first", "second"]}) as w:
        jobs = [job(number()) for _ in range(15)]
        await w.daemon.send(*jobs)
        for one in jobs:
            await w.daemon.final(f"{one['id']}/0")
        assert second.far.submits == []


@alone()
async def test_refused_credentials_stop_the_bind(tmp_path: Path) -> None:
    account, other = Account("m", "cmpp", "mobile"), Account("t", "smgp", "telecom")
    account.gateway.refuse = 3
    async with world(tmp_path, account, other, ready=False) as w:
        await until(lambda: account.far.logins)
        await asyncio.sleep(2.5)
        assert len(account.far.logins) <= 2
        one = job(number("telecom"))
        await w.daemon.send(one)
        assert (await w.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
        status = await w.daemon.status()
        (mobile,) = [a for a in status["accounts"] if a["name"] == "m"]
        assert mobile["nodes"][0]["binds"][0]["last_error"]


async def test_nothing_that_the_daemon_did_breaks_the_contract(quirks: World) -> None:
    assert quirks.faults() == []


@alone()
async def test_an_instance_keeps_to_its_share_of_rate_and_binds_and_takes_over_another(
    tmp_path: Path,
) -> None:
    """Daemons that share an account get shares of `rate` and `binds` by configuration (6.4)."""
    account = Account(
        "m", "cmpp", "mobile", rate=40, adapt=False, shares={"outside": 1, "other": 1},
        node_keys=[{"binds": 2}, {"binds": 2}],
    )  # fmt: skip
    account.far.default = Answer(reports=())
    async with world(tmp_path, account) as w:

        async def reload(shares: dict[str, int], name: str, limit: float) -> None:
            account.keys["shares"] = shares
            w.daemon.config["daemon"]["name"] = name
            w.daemon.config["accounts"]["m"] = account.table()
            w.daemon.file.write_text("\n".join(toml(w.daemon.config)) + "\n")
            assert w.daemon.process is not None
            w.daemon.process.send_signal(signal.SIGHUP)
            await w.daemon.reads("carrierd_rate_limit", limit, account="m")

        def binds() -> list[int]:
            return [len(gateway.bound) for gateway in account.gateways]

        await until(lambda: binds() == [1, 1], what=binds)
        jobs = [job(number()) for _ in range(50)]
        await w.daemon.send(*jobs)
        for one in jobs:
            await w.daemon.state(f"{one['id']}/0", "accepted")
        assert account.far.busiest_second() <= 20 * 1.05 + 1
        times = [submit.at for submit in account.far.submits]
        assert times[-1] - times[0] <= 4.5, "and it is used"

        await reload({"outside": 3, "other": 1}, "outside", 30.0)
        await until(lambda: sorted(binds()) == [1, 2], what=binds)
        await reload({"outside": 1}, "outside", 40.0)
        await until(lambda: binds() == [2, 2], what=binds)
        # Another name needs a restart: until then the share is that of the name that runs.
        await reload({"outside": 1, "other": 3}, "other", 10.0)
        await until(lambda: sum(binds()) == 1, what=binds)
