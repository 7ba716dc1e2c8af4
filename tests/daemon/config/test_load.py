"""What a sound configuration becomes."""

from __future__ import annotations

import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import Address, Config, ConfigError, Listener, Secret, examine, load

from .sample import TEXT, edited, examined, warnings, write

ROOT = Path(__file__).parents[3]


def test_defaults_are_the_contracts(tmp_path: Path) -> None:
    config = load(write(tmp_path, ""))
    assert config.daemon.drain_within == 30.0
    assert config.daemon.timezone == ZoneInfo("Asia/Shanghai")
    assert config.daemon.remember_ids == 2592000
    assert config.daemon.join_within == 180.0
    assert config.daemon.archive_after == 86400
    assert config.daemon.retain == 400 * 86400
    assert config.daemon.park_after == 60.0
    assert (config.broker.kind, config.broker.commit) == ("kafka", "answered")
    assert config.broker.topics.jobs == ("sms.jobs.urgent", "sms.jobs")
    assert config.broker.topics.parked == "sms.parked"
    assert config.http.listen == Address("127.0.0.1", 9464)
    assert (config.uncertain.hold, config.uncertain.then) == (10.0, "resend")
    assert config.accounts == {}


def test_an_account_has_the_contracts_defaults(tmp_path: Path) -> None:
    account = load(write(tmp_path)).accounts["other"]
    assert (account.window, account.answer_within, account.keepalive) == (16, 5.0, 30.0)
    assert (account.report_within, account.service_id, account.max_binds) == (259200, "", 0)
    assert (account.nodes[0].binds, account.nodes[0].priority) == (1, 1)
    assert (account.udhi, account.md5_pad, account.report_id) == (1, False, "auto")
    assert (account.throttle_codes, account.encoding, account.long) == ((), "auto", "udh8")
    assert (account.bind_mode, account.system_type, account.signature_by) == ("trx", "", "client")
    assert (account.max_destinations, account.adapt, account.lowest_rate) == (1, True, 5.0)
    assert account.shares == {}
    assert account.listener is None


def test_values_arrive_as_types(tmp_path: Path) -> None:
    config = load(write(tmp_path))
    assert config.daemon.state_dir == Path("/var/lib/carrierd")
    assert config.broker.bootstrap == ("127.0.0.1:9092",)
    unicom = config.accounts["unicom"]
    assert unicom.listener == Listener(
        Address("0.0.0.0", 8801),
        "smg",
        Secret("hunter3"),
        (ip_network("127.0.0.0/8"), ip_network("10.0.0.1")),
    )
    assert unicom.node_id == 3025112345
    assert config.accounts["mobile"].rate == 200.0
    assert config.accounts["mobile"].binds == 3


def test_max_binds_caps_what_the_nodes_list(tmp_path: Path) -> None:
    config = load(write(tmp_path, edited(("rate = 200", "rate = 200\nmax_binds = 2"))))
    assert config.accounts["mobile"].binds == 2


def test_an_ipv6_address_is_written_in_brackets(tmp_path: Path) -> None:
    config = load(write(tmp_path, '[http]\nlisten = "[::1]:9464"'))
    assert config.http.listen == Address("::1", 9464)
    assert str(config.http.listen) == "[::1]:9464"


def test_relative_paths_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "codes.tsv").write_text("")
    file = write(tmp_path, '[daemon]\nstate_dir = "state"\ncodes = "codes.tsv"')
    monkeypatch.chdir(tmp_path)
    config = load(Path(file.name))
    assert config.daemon.state_dir == tmp_path / "state"
    assert config.daemon.codes == tmp_path / "codes.tsv"


def test_nothing_of_a_configuration_can_be_changed(tmp_path: Path) -> None:
    config = load(write(tmp_path))
    with pytest.raises(AttributeError):
        config.daemon.name = "other"  # type: ignore[misc]


def test_the_same_file_loads_equal_and_a_changed_password_does_not(tmp_path: Path) -> None:
    config = load(write(tmp_path))
    assert load(write(tmp_path)) == config
    changed = load(write(tmp_path, edited(('password = "hunter2"', 'password = "hunter9"'))))
    assert changed.accounts["mobile"] != config.accounts["mobile"]
    assert changed.accounts["unicom"] == config.accounts["unicom"]


def test_simulated_accounts_override_what_they_name_and_no_more(tmp_path: Path) -> None:
    simulate = load(write(tmp_path)).simulate
    assert (simulate.behaviour("mobile").delay, simulate.behaviour("mobile").loss) == (0.05, 0.25)
    assert (simulate.behaviour("other").delay, simulate.behaviour("other").loss) == (0.05, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            'telecom = ["other"]',
            "",
            "57: accounts.other: is in no route, only jobs that name it will use it",
        ),
        (
            "rate = 100",
            "rate = 100\nmd5_pad = true",
            "52: accounts.unicom.md5_pad: has no effect with sgip, it is for cmpp and smgp",
        ),
        (
            "window = 16",
            "window = 17",
            "26: accounts.mobile.window: is 17, cmpp gateways commonly admit at most 16",
        ),
        (
            "rate = 50",
            'rate = 50\nencoding = "gbk"',
            '65: accounts.other.encoding: is "gbk", which smpp has no standard data_coding for',
        ),
        (
            'security = "PLAINTEXT"',
            'username = "x"',
            "12: broker.username: has no effect with PLAINTEXT",
        ),
        (
            "priority = 1",
            'priority = 2\n[accounts.mobile.shares]\n"xz-a" = 2\n"xz-b" = 1',
            "35: accounts.mobile.shares.xz-b: has no bind to a node of priority 1, the preferred",
        ),
    ],
)
def test_what_is_odd_is_a_warning(tmp_path: Path, old: str, new: str, warning: str) -> None:
    assert warnings(tmp_path, edited((old, new))) == [warning]


def test_a_lowest_rate_is_not_odd_without_adapting_because_throttle_answers_slow_down_too(
    tmp_path: Path,
) -> None:
    assert (
        warnings(tmp_path, edited(("rate = 200", "rate = 200\nadapt = false\nmin_rate = 1"))) == []
    )


def test_the_sound_file_has_no_warnings(tmp_path: Path) -> None:
    assert examined(tmp_path).warnings == []


def test_the_example_loads_as_it_stands() -> None:
    config, warned, _ = examine(ROOT / "config" / "example.toml", environ={})
    assert warned == []
    assert config.broker.kind == "local"
    assert {a.carrier for a in config.accounts.values()} == {
        "mobile",
        "unicom",
        "telecom",
        "broadnet",
    }
    assert {a.protocol for a in config.accounts.values()} == {"cmpp", "sgip", "smgp", "smpp"}
    nodes = [node for account in config.accounts.values() for node in account.nodes]
    assert all(node.host == "127.0.0.1" and node.port > 1024 for node in nodes)
    assert len({node.port for node in nodes}) == len(nodes)


def production(folder: Path, edit: tuple[str, str] = ("", "")) -> Config:
    """The production file, with its credentials in a folder that exists."""
    text = (ROOT / "config" / "production.toml").read_text()
    assert edit[0] in text
    text = text.replace(*edit, 1)
    for name in ("xz-telecom", "xz-broadnet"):
        (folder / name).write_text("fromfile\n")
        (folder / name).chmod(0o400)
    environ = {
        "CREDENTIALS_DIRECTORY": str(folder),
        "CARRIERD_KAFKA_PASSWORD": "fromenv",
        "XZ_MOBILE_PASSWORD": "fromenv",
        "XZ_UNICOM_PASSWORD": "fromenv",
        "XZ_UNICOM_LISTEN": "fromenv",
    }
    file = folder / "production.toml"
    file.write_text(text)
    config, warned, _ = examine(file, environ=environ)
    assert warned == []
    return config


def test_the_production_file_loads_with_its_secrets_in_place(tmp_path: Path) -> None:
    config = production(tmp_path)
    secrets = {name: account.password.reveal() for name, account in config.accounts.items()}
    assert secrets == {
        "xz-mobile": "fromenv",
        "xz-unicom": "fromenv",
        "xz-telecom": "fromfile",
        "xz-broadnet": "fromfile",
    }
    assert config.broker.password == Secret("fromenv")
    assert config.accounts["xz-mobile"].nodes[2].priority == 2


def test_the_production_file_can_be_shared_as_it_says(tmp_path: Path) -> None:
    account = production(tmp_path, ("# shares = ", "shares = ")).accounts["xz-mobile"]
    assert (account.rate, [node.binds for node in account.nodes]) == (100.0, [1, 1, 1])


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    return [path, *(leaf for key, one in inside for leaf in leaves(one, (*path, key)))]


PATHS = leaves(tomllib.loads(TEXT))[1:]


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in value.items()) + "}"
    return str(value)


STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.booleans() | st.integers() | st.floats() | STRINGS
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(STRINGS, v, max_size=3)
)


@given(path=st.sampled_from(PATHS), value=VALUES)
def test_any_value_anywhere_is_taken_or_refused_with_a_line_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, path: tuple[Any, ...], value: Any
) -> None:
    document = tomllib.loads(TEXT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    text = "\n".join(f"{toml(key)} = {toml(one)}" for key, one in document.items())
    file = write(tmp_path_factory.getbasetemp(), text)
    try:
        examine(file, environ={})
    except ConfigError as exc:
        refused = exc
    else:
        return
    assert refused.faults
    assert all(1 <= fault.line <= len(document) for fault in refused.faults)
    assert len(str(refused).split("\n")) == len(refused.faults)
