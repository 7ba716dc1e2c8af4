"""The configuration file of a system on loopback: one account and gateway per carrier."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .ports import HOST

Value = str | int | float | bool | list[str]


@dataclass(slots=True, frozen=True)
class Line:
    """How one carrier is reached, and a prefix of its numbers."""

    protocol: str
    version: str
    prefix: str
    login: str
    access_number: str

    @property
    def words(self) -> str:
        return f"{self.protocol.upper()} {self.version}"


LINES = {
    "mobile": Line("cmpp", "3.0", "138", "901234", "106575257777"),
    "unicom": Line("sgip", "1.2", "130", "demo", "106550101"),
    "telecom": Line("smgp", "3.0", "133", "12345678", "1065902000"),
    "broadnet": Line("smpp", "3.4", "192", "demo", "10690192"),
}
CARRIERS = tuple(LINES)
FILE = "carrierd.toml"
PASSWORD = "loopback"  # noqa: S105  # of gateways that live for a minute


@dataclass(slots=True, frozen=True, kw_only=True)
class Settings:
    """What a run is made of; times are seconds, `rate` is parts per second and account."""

    carriers: Sequence[str] = CARRIERS
    rate: float = 200.0
    window: int = 16
    binds: int = 1
    """Per node."""
    nodes: int = 1
    """Per account, of equal priority: `mobile-1`, `mobile-2` and so on."""
    delay: float = 0.0
    """From a submit to its answer."""
    report_delay: float = 0.0
    report_window: int = 16
    """Reports that a gateway sends ahead of their answers, per connection."""
    bootstrap: str | None = None
    """A Kafka; None is the broker `local` in the state directory."""
    topics: str = ""
    """In front of every topic's name."""
    hosts: Sequence[str] = ()
    """Of the gateways, by the number of their node; none: HOST."""
    control: str = HOST
    """Where the gateways serve their counts."""
    listen: str = HOST
    """Where carriers connect to the daemon."""
    more: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """Further keys by section."""

    @property
    def ports(self) -> int:
        """How many a file of these settings needs."""
        return 3 + len(self.carriers) * self.nodes

    def node_names(self, carrier: str) -> list[str]:
        return [f"{carrier}-{number}" for number in range(1, self.nodes + 1)]

    def parameters(self) -> dict[str, Value]:
        """What decides about a figure, for whoever wants to measure it again."""
        return {
            "carriers": [f"{name} by {LINES[name].words}" for name in self.carriers],
            "broker": f"Kafka at {self.bootstrap}" if self.bootstrap else "local",
            "account rate": self.rate,
            "window": self.window,
            "nodes": self.nodes,
            "binds": self.binds,
            "answer delay": self.delay,
            "report delay": self.report_delay,
        }

    def write(self, directory: Path, ports: Sequence[int]) -> Path:
        """The file for `carrierd run` and `carrierd simulate`; returns where it is."""
        http, control, listen, *gateways = ports
        sections: dict[str, dict[str, Value]] = {
            "daemon": {"name": "loopback", "state_dir": str(directory / "state")},
            "broker": {"kind": "local"} if self.bootstrap is None else self._kafka(),
            "broker.topics": {
                "jobs": [f"{self.topics}sms.jobs.urgent", f"{self.topics}sms.jobs"],
                **{
                    name: f"{self.topics}sms.{name}"
                    for name in ("reports", "inbound", "dead", "parked", "state")
                },
            },
            "http": {"listen": f"{HOST}:{http}"},
            "routes": {name: [name] for name in self.carriers},
            "simulate": {
                "listen": f"{self.control}:{control}",
                "delay": self.delay,
                "report_delay": self.report_delay,
                "report_window": self.report_window,
            },
        }
        nodes: list[tuple[str, Mapping[str, Value]]] = []
        free = iter(gateways)
        for name in self.carriers:
            sections[f"accounts.{name}"] = self._account(name, listen)
            for number, node in enumerate(self.node_names(name)):
                host = self.hosts[number] if self.hosts else HOST
                place: dict[str, Value] = {"name": node, "host": host, "port": next(free)}
                nodes.append((f"[accounts.{name}.nodes]", place | {"binds": self.binds}))
        for section, keys in self.more.items():
            sections.setdefault(section, {}).update(keys)
        path = directory / FILE
        path.write_text("\n".join(_toml([*sections.items(), *nodes])), encoding="utf-8")
        path.chmod(0o600)
        return path

    def _kafka(self) -> dict[str, Value]:
        assert self.bootstrap is not None, "asked only when there is one"
        group = f"{self.topics}carrierd"
        return {"kind": "kafka", "bootstrap": self.bootstrap.split(","), "group": group}

    def _account(self, name: str, listen: int) -> dict[str, Value]:
        line = LINES[name]
        account: dict[str, Value] = {
            "carrier": name,
            "protocol": line.protocol,
            "version": line.version,
            "login": line.login,
            "password": PASSWORD,
            "access_number": line.access_number,
            "rate": self.rate,
            "window": self.window,
        }
        if line.protocol == "sgip":
            account |= {
                "node_id": 3025112345,
                "corp_id": "12345",
                "listen": f"{self.listen}:{listen}",
                "listen_login": "smg",
                "listen_password": PASSWORD,
                "listen_allow": ["127.0.0.0/8"],
            }
        return account


def _toml(sections: Iterable[tuple[str, Mapping[str, Value]]]) -> Iterator[str]:
    for name, keys in sections:
        yield f"[{name}]"
        for key, value in keys.items():
            # Of these types JSON's spelling is TOML's too.
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
        yield ""
