"""What an operator is told of a configuration that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config import ConfigError, load

from .sample import TEXT, edited, faults, write

M, U, X = "accounts.mobile", "accounts.unicom", "accounts.other"
NODES = f"{M}.nodes"

CASES: dict[str, tuple[str, str, str]] = {
    "unknown key, with the nearest that is known": (
        "drain_within = 30.0",
        "drain_witin = 30.0",
        "4: daemon.drain_witin: is unknown (did you mean drain_within?), allowed are name, "
        "state_dir, drain_within, timezone, remember_ids, join_within, archive_after, retain, "
        "codes, park_after",
    ),
    "unknown section": (
        "[uncertain]",
        "[uncertian]",
        "75: uncertian: is unknown (did you mean uncertain?), allowed are daemon, broker, http, "
        "accounts, routes, uncertain, simulate",
    ),
    "unknown topic": (
        'topics.reports = "sms.reports"',
        'topics.repots = "sms.reports"',
        "11: broker.topics.repots: is unknown (did you mean reports?), allowed are jobs, "
        "reports, inbound, dead, parked, state",
    ),
    "a string for a number": (
        "drain_within = 30.0",
        'drain_within = "30"',
        '4: daemon.drain_within: is "30", allowed is a number from 0 to 3600 (seconds)',
    ),
    "a duration that never ends": (
        "drain_within = 30.0",
        "drain_within = inf",
        "4: daemon.drain_within: is a number beyond any range, allowed is a number from 0 to "
        "3600 (seconds)",
    ),
    "a boolean for a number": (
        "window = 16",
        "window = true",
        f"26: {M}.window: is true, allowed is an integer from 1 to 10000 (submits)",
    ),
    "out of range": (
        "port = 7891",
        "port = 70000",
        f"36: {NODES}[1].port: is 70000, allowed is an integer from 1 to 65535",
    ),
    "an array for a string": (
        'login = "901234"',
        "login = [1]",
        f"21: {M}.login: is an array, allowed is a string of 1 to 255 characters",
    ),
    "one value of several": (
        'carrier = "mobile"',
        'carrier = "cmcc"',
        f'18: {M}.carrier: is "cmcc", allowed is one of "mobile", "unicom", "telecom", "broadnet"',
    ),
    "a rate of nothing": (
        "rate = 200",
        "rate = 0",
        f"25: {M}.rate: is 0, allowed is a number above 0, at most 100000 (parts per second)",
    ),
    "no such time zone": (
        '"Asia/Shanghai"',
        '"Asia/Nowhere"',
        '5: daemon.timezone: is "Asia/Nowhere", allowed is the name of a time zone such as '
        '"Asia/Shanghai"',
    ),
    "an address without a port": (
        'listen = "127.0.0.1:9464"',
        'listen = "127.0.0.1"',
        '15: http.listen: is "127.0.0.1", allowed is host:port, the port from 0 to 65535',
    ),
    "a broker's port out of range": (
        '["127.0.0.1:9092"]',
        '["127.0.0.1:9092", "b:99999"]',
        '9: broker.bootstrap[1]: is "b:99999", allowed is a port from 1 to 65535',
    ),
    "no topic to read": (
        'topics.jobs = ["sms.jobs.urgent", "sms.jobs"]',
        "topics.jobs = []",
        "10: broker.topics.jobs: has 0 elements, allowed is an array of 1 to 16, each a topic "
        "name: 1 to 249 of A-Z a-z 0-9 . _ -",
    ),
    "a topic that is read and written": (
        'topics.reports = "sms.reports"',
        'topics.reports = "sms.jobs"',
        '11: broker.topics.reports: is "sms.jobs", already used above, allowed is a topic of its '
        "own for each",
    ),
    "a missing key, at its table": (
        'host = "127.0.0.1"\nport = 7891',
        "port = 7891",
        f"33: {NODES}[1].host: is missing, allowed is a string of 1 to 255 characters",
    ),
    "no nodes": (
        '[[accounts.other.nodes]]\nname = "o1"\nhost = "127.0.0.1"\nport = 2775\n',
        "",
        f"57: {X}.nodes: is missing, allowed is an array of 1 or more tables",
    ),
    "a node as a table": (
        "[[accounts.other.nodes]]",
        "[accounts.other.nodes]",
        f"65: {X}.nodes: is a table, allowed is an array of 1 or more tables",
    ),
    "two nodes of one name": (
        '"nj-2"',
        '"nj-1"',
        f'34: {NODES}[1].name: is "nj-1" a second time, allowed is a name no other node of the '
        "account has",
    ),
    "an access number too long": (
        '"106575257777"',
        '"106575257777123456789"',
        f'23: {M}.access_number: is "106575257777123456789", allowed is 1 to 20 digits',
    ),
    "an access number that is none": (
        '"106575257777"',
        '"10657-5257"',
        f'23: {M}.access_number: is "10657-5257", allowed is 1 to 20 digits',
    ),
    "a version of another protocol": (
        'version = "3.0"',
        'version = "3.4"',
        f'20: {M}.version: is "3.4", allowed with cmpp is "2.0", "3.0"',
    ),
    "a version as a number": (
        'version = "3.0"',
        "version = 3.0",
        f'20: {M}.version: is 3.0, allowed is one of "1.2", "2.0", "3.0", "3.4"',
    ),
    "a login too long for its field": (
        '"901234"',
        '"9012345"',
        f"21: {M}.login: has 7 octets, allowed with cmpp are at most 6",
    ),
    "a login beyond ASCII": (
        '"901234"',
        '"移动"',
        f"21: {M}.login: has characters beyond ASCII, allowed with cmpp is ASCII",
    ),
    "a password too long for its field": (
        '"hunter4"',
        '"hunter456"',
        f"62: {X}.password: has 9 octets, allowed with smpp are at most 8",
    ),
    "a service id too long for smpp": (
        "rate = 50",
        'rate = 50\nservice_id = "123456"',
        f"65: {X}.service_id: has 6 octets, allowed with smpp are at most 5",
    ),
    "more destinations than a packet holds": (
        "rate = 100",
        "rate = 100\nmax_destinations = 81",
        f"52: {U}.max_destinations: is 81, allowed with sgip is an integer from 1 to 80",
    ),
    "a long form of another protocol": (
        "rate = 200",
        'rate = 200\nlong = "sar"',
        f'26: {M}.long: is "sar", allowed with cmpp is "udh8" or "udh16"',
    ),
    "a least rate above the rate": (
        "rate = 200",
        "rate = 200\nmin_rate = 201",
        f"26: {M}.min_rate: is 201, allowed is at most the account's rate, 200",
    ),
    "an sgip key elsewhere": (
        "rate = 200",
        "rate = 200\nnode_id = 1",
        f"26: {M}.node_id: is given, allowed only with sgip, not cmpp",
    ),
    "an sgip secret elsewhere": (
        "rate = 200",
        'rate = 200\nlisten_password = "x"',
        f"26: {M}.listen_password: is given, allowed only with sgip, not cmpp",
    ),
    "sgip without its node id": (
        "node_id = 3025112345\n",
        "",
        f"38: {U}.node_id: is missing, sgip needs an integer from 0 to 4294967295",
    ),
    "sgip without its listener": (
        'listen = "0.0.0.0:8801"\n',
        "",
        f"38: {U}.listen: is missing, sgip needs host:port, the port from 0 to 65535",
    ),
    "sgip without a password for the carrier": (
        'listen_password = "hunter3"\n',
        "",
        f"38: {U}.listen_password: is missing, sgip needs exactly one of listen_password, "
        "listen_password_file, listen_password_env",
    ),
    "sgip that admits nobody": (
        '["127.0.0.0/8", "10.0.0.1"]',
        "[]",
        f"50: {U}.listen_allow: has 0 elements, allowed is an array of 1 or more, each a network "
        'such as "10.0.0.0/8" (no host bits) or an address "10.0.0.1"',
    ),
    "a network with host bits": (
        '"10.0.0.1"',
        '"10.0.0.1/8"',
        f'50: {U}.listen_allow[1]: is "10.0.0.1/8", allowed is a network such as "10.0.0.0/8" '
        '(no host bits) or an address "10.0.0.1"',
    ),
    "sgip on any port": (
        '"0.0.0.0:8801"',
        '"0.0.0.0:0"',
        f"47: {U}.listen: has port 0, allowed is a port from 1 to 65535",
    ),
    "a route to nowhere": (
        'telecom = ["other"]',
        'telecom = ["other", "xz"]',
        '73: routes.telecom[1]: is "xz", allowed are the accounts of this file: mobile, other, '
        "unicom",
    ),
    "a route twice": (
        'telecom = ["other"]',
        'telecom = ["other", "other"]',
        '73: routes.telecom[1]: is "other" a second time, allowed is each account once',
    ),
    "two listeners on one port": (
        '"127.0.0.1:9465"',
        '"127.0.0.1:8801"',
        '80: simulate.listen: is "127.0.0.1:8801", which 0.0.0.0:8801 (sgip) takes, allowed is a '
        "port of its own",
    ),
    "a simulator for everybody": (
        '"127.0.0.1:9465"',
        '"0.0.0.0:9465"',
        '80: simulate.listen: is "0.0.0.0:9465", allowed is a loopback address such as '
        '"127.0.0.1:9465"',
    ),
    "a simulated account that is none": (
        "[simulate.accounts.mobile]",
        "[simulate.accounts.mobil]",
        "82: simulate.accounts.mobil: is no account, allowed are those of this file: mobile, "
        "other, unicom",
    ),
    "shares that are more than all": (
        "loss = 0.25",
        "loss = 0.25\nthrottle = 0.8",
        "82: simulate.accounts.mobile: loss, drop_answers, throttle and refuse add up to 1.05, "
        "at most 1 is allowed",
    ),
    "a share of several": (
        "loss = 0.25",
        "loss = 25",
        "83: simulate.accounts.mobile.loss: is 25, allowed is a number from 0 to 1",
    ),
    "two forms of one secret": (
        'password = "hunter2"',
        'password = "hunter2"\npassword_env = "X"',
        f"23: {M}.password_env: is given beside password, allowed is exactly one of password, "
        "password_file, password_env",
    ),
    "no secret": (
        'password = "hunter2"\n',
        "",
        f"17: {M}.password: is missing, allowed is exactly one of password, password_file, "
        "password_env",
    ),
    "an empty secret": (
        '"hunter2"',
        '""',
        f"22: {M}.password: is empty, allowed is one line of printable characters",
    ),
    "a secret that is a number": (
        '"hunter2"',
        "123456",
        f"22: {M}.password: is an integer, allowed is a string",
    ),
    "a secret in a variable that is not set": (
        'password = "hunter2"',
        'password_env = "XZ_MOBILE_PASSWORD"',
        f"22: {M}.password_env: names a variable that is not set, allowed is one that is",
    ),
    "a name no metric could carry": (
        "[accounts.other]",
        '[accounts."o ther"]',
        '57: accounts."o ther": is no usable name, allowed are 1 to 64 letters, digits and '
        "_ . -, none of the last two in front",
    ),
    "a local address that is none": (
        "port = 7891",
        'port = 7891\nlocal_address = "here"',
        f"37: {NODES}[1].local_address: is no address, allowed is one of this machine",
    ),
    "SASL without a user": (
        'security = "PLAINTEXT"',
        'security = "SASL_SSL"\npassword = "x"',
        "7: broker.username: is missing, SASL_SSL needs one",
    ),
    "a table of codes that is not there": (
        'name = "xz-a"',
        'name = "xz-a"\ncodes = "/nowhere/codes.tsv"',
        "3: daemon.codes: cannot be read (No such file or directory: /nowhere/codes.tsv), "
        "allowed is a file that this user may read",
    ),
    "kept for less than the law asks": (
        'name = "xz-a"',
        'name = "xz-a"\nretain = 86400',
        "3: daemon.retain: is 86400, allowed is a number from 15897600 to 3153600000 (seconds; "
        "six months of records, 184 days, are to be kept)",
    ),
    "parked after no time": (
        'name = "xz-a"',
        'name = "xz-a"\npark_after = 0',
        "3: daemon.park_after: is 0, allowed is a number above 0, at most 3600 (seconds)",
    ),
    "shares that are no table": (
        "rate = 200",
        "rate = 200\nshares = 2",
        f"26: {M}.shares: is 2, allowed is a table, each value a number above 0, at most 1000",
    ),
    "a share of nothing": (
        "rate = 200",
        'rate = 200\nshares = {"xz-a" = 1, "xz-b" = 0}',
        f"26: {M}.shares.xz-b: is 0, allowed is a number above 0, at most 1000",
    ),
    "a share for a name that no instance can have": (
        "rate = 200",
        'rate = 200\nshares = {"xz-a" = 1, "xz b" = 1}',
        f'26: {M}.shares."xz b": is no usable name, allowed are 1 to 64 letters, digits and '
        "_ . -, none of the last two in front",
    ),
    "shares without one for this instance": (
        "rate = 200",
        'rate = 200\nshares = {"xz-b" = 1, "xz-c" = 1}',
        f'26: {M}.shares: has no "xz-a", which this instance is called (daemon.name), allowed is '
        "a table of all instances that use the account",
    ),
    "a share of the rate that is too small": (
        "rate = 200",
        'rate = 1.5\nshares = {"xz-b" = 2, "xz-a" = 1}',
        f"26: {M}.shares.xz-a: has 0.5 parts per second of 1.5, allowed is a weight that makes it "
        "1 or more",
    ),
    "another instance without a bind": (
        "rate = 200",
        'rate = 200\nshares = {"xz-a" = 10, "xz-b" = 1}',
        f"26: {M}.shares.xz-b: has none of the account's 3 binds, allowed is a weight that makes "
        "it one or more",
    ),
    "fewer binds than instances because of max_binds": (
        "rate = 200",
        'rate = 200\nmax_binds = 1\nshares = {"xz-a" = 1, "xz-b" = 1}',
        f"27: {M}.shares.xz-b: has none of the account's 1 bind, allowed is a weight that makes "
        "it one or more",
    ),
    "accounts that are no tables": (
        "[uncertain]",
        "[accounts]\nfake = 1\n[uncertain]",
        "76: accounts.fake: is 1, allowed is a table of carrier, protocol, version, login, "
        "password, password_file, password_env, access_number, service_id, rate, window, "
        "answer_within, keepalive, report_within, max_binds, nodes, node_id, corp_id, listen, "
        "listen_login, listen_password, listen_password_file, listen_password_env, "
        "listen_allow, udhi, md5_pad, report_id, throttle_codes, encoding, long, bind_mode, "
        "system_type, signature_by, max_destinations, adapt, min_rate, shares",
    ),
}


@pytest.mark.parametrize(("old", "new", "line"), CASES.values(), ids=CASES)
def test_one_fault_gives_one_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    found = faults(tmp_path, edited((old, new)))
    if old == 'telecom = ["other"]' or "o ther" not in new:
        assert found == [line]
    else:  # the account is gone under its old name, too
        assert line in found


def test_every_fault_is_reported_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = edited(
        ("port = 7891", "port = 0"),
        ("drain_within = 30.0", "drain_within = -1"),
        ('login = "901234"', 'login = "9012345"'),
        ('protocol = "smpp"', 'protocol = "smtp"'),
        ("rate = 100", "rate = 100\nrat = 1"),
        ('telecom = ["other"]', 'telecom = ["others"]'),
    )
    keys = [line.split(": ")[1] for line in faults(tmp_path, text)]
    assert keys == [
        "daemon.drain_within",
        f"{M}.login",
        f"{NODES}[1].port",
        f"{U}.rat",
        f"{X}.protocol",
        "routes.telecom[0]",
    ]


def test_a_faulty_element_does_not_move_the_places_of_the_others(tmp_path: Path) -> None:
    text = edited(
        ('telecom = ["other"]', 'telecom = [\n  1,\n  "xz",\n]'),
        ('["127.0.0.1:9092"]', '[true, "b:0"]'),
        ('["sms.jobs.urgent", "sms.jobs"]', '["a b", "sms.dead"]\ntopics.dead = "sms.dead"'),
    )
    assert [line.split(", allowed")[0] for line in faults(tmp_path, text)] == [
        "9: broker.bootstrap[0]: is true",
        '9: broker.bootstrap[1]: is "b:0"',
        '10: broker.topics.jobs[0]: is "a b"',
        '11: broker.topics.dead: is "sms.dead", already used above',
        "75: routes.telecom[0]: is 1",
        '76: routes.telecom[1]: is "xz"',
    ]


def test_sgip_accounts_may_share_an_address_but_not_a_login_on_it(tmp_path: Path) -> None:
    start = TEXT.index("[accounts.unicom]")
    account = TEXT[start : TEXT.index("[accounts.other]")]
    second = account.replace("accounts.unicom", "accounts.second")
    other_login = second.replace('"smg"', '"smg2"')
    assert faults(tmp_path, TEXT + other_login) == []
    line = TEXT.count("\n") + account[: account.index("listen_login")].count("\n") + 1
    assert faults(tmp_path, TEXT + second) == [
        f'{line}: accounts.second.listen_login: is "smg" a second time on 0.0.0.0:8801, allowed '
        "is another for each account that shares a listen address"
    ]


def test_a_fault_stays_on_its_line_whatever_the_file_calls_its_accounts(tmp_path: Path) -> None:
    text = edited(
        ("[accounts.other]", '[accounts."o\\nx"]'), ('["other"]', '["no\\nne", "no\\nne"]')
    )
    text = text.replace("[[accounts.other.nodes]]", '[[accounts."o\\nx".nodes]]')
    found = faults(tmp_path, text)
    assert found[1] == (
        '73: routes.telecom[0]: is "no\\nne", allowed are the accounts of this file: mobile, '
        '"o\\nx", unicom'
    )
    assert [line.split(":")[0] for line in found] == ["57", "73", "73"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[daemon]\nname = "a\n', 2),
        ("[daemon]\nname = \n", 2),
        ("a = 1\n\na = 2\n", 3),
        ("a = [1,\n2,\n\n", 2),
        ("a = 1\n[b\n", 2),
    ],
)
def test_a_fault_of_the_syntax_has_its_line(tmp_path: Path, text: str, line: int) -> None:
    (found,) = faults(tmp_path, text)
    assert found.startswith(f"{line}: TOML: ")
    assert found.endswith(", allowed is TOML 1.0")
    assert "(at " not in found


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 5000])
def test_what_python_gives_up_on_is_a_fault_too(tmp_path: Path, text: str) -> None:
    (line,) = faults(tmp_path, text)
    assert line.startswith("1: TOML: is beyond what can be read (")


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "carrierd.toml"
    file.write_bytes("[daemon]\n# 中文\n".encode("gbk"))
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert str(refused.value) == f"{file}:2: file: is not UTF-8, allowed is TOML in UTF-8"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert str(refused.value) == (
        f"{file}:1: file: cannot be read (No such file or directory), allowed is a TOML file"
    )


def test_no_fault_shows_a_secret(tmp_path: Path) -> None:
    text = edited(
        ('password = "hunter2"', 'password = "hunter2\\u0000"'),
        ('"hunter4"', '"hunter4-is-too-long"'),
        ('listen_password = "hunter3"', 'listen_password_env = "hunter3"'),
    )
    lines = faults(tmp_path, text)
    assert len(lines) == 3
    assert "hunter" not in "".join(lines)


def test_a_sound_file_has_no_faults(tmp_path: Path) -> None:
    assert faults(tmp_path, TEXT) == []
    assert load(write(tmp_path)).accounts["mobile"].password.reveal() == "hunter2"
