"""The configuration as types: every key, its default, its range and its unit.

This is the one list of what may stand in the file; nothing has a default in two places.
Ranges are `Meta` bounds, so that the error text can name them; what concerns several keys
at once is in `rules`.  Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Optional, get_type_hints
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct, defstruct, structs

from daemon.sim.behaviour import Behaviour

from .secret import Secret
from .shares import deal, parts, portion, within

DAY = 86400.0

Carrier = Literal["mobile", "unicom", "telecom", "broadnet"]
Protocol = Literal["cmpp", "sgip", "smgp", "smpp"]
Network = IPv4Network | IPv6Network

Seconds = Annotated[float, Meta(gt=0, le=400 * DAY, extra={"unit": "seconds"})]
ShortSeconds = Annotated[float, Meta(gt=0, le=3600, extra={"unit": "seconds"})]
Delay = Annotated[float, Meta(ge=0, le=3600, extra={"unit": "seconds"})]
Rate = Annotated[float, Meta(gt=0, le=100_000, extra={"unit": "parts per second"})]
Weight = Annotated[float, Meta(gt=0, le=1000)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Name = Annotated[
    str,
    Meta(
        pattern=r"\A\w[\w.-]{0,63}\Z",
        description="1 to 64 letters, digits and _ . -, none of the last two in front",
    ),
]
Topic = Annotated[
    str,
    Meta(
        pattern=r"\A(?!\.\.?\Z)[A-Za-z0-9._-]{1,249}\Z",
        description="a topic name: 1 to 249 of A-Z a-z 0-9 . _ -",
    ),
]
HostPort = Annotated[
    str,
    Meta(pattern=r"\A(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:,/]+):[0-9]{1,5}\Z", description="host:port"),
]
Text = Annotated[str, Meta(min_length=1, max_length=255)]


class Address(NamedTuple):
    """Where to listen or connect; written `host:port`, an IPv6 host in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


class Daemon(Section, frozen=True, kw_only=True):
    name: Name = "carrierd"
    """This instance: in metrics and logs, and in `shares` of the accounts.  For example
    `"xz-a"`."""
    state_dir: Path = Path("/var/lib/carrierd")
    """Ledger, archive and local queues; one daemon each, on a disk that keeps what it says it has
    written.  For example `"/var/lib/carrierd"`."""
    drain_within: Delay = 30.0
    """SIGTERM: how long answers are awaited.  For example `30.0`."""
    timezone: ZoneInfo = ZoneInfo("Asia/Shanghai")
    """Of wire stamps, digests and reports, whatever the host's.  For example `"Asia/Shanghai"`."""
    remember_ids: Seconds = 30 * DAY
    """How long a used job id is known.  For example `2592000`."""
    join_within: Seconds = 180.0
    """Inbound parts that stay incomplete are published after this.  For example `180.0`."""
    archive_after: Seconds = DAY
    """Finished jobs older than this move from the ledger to the archive files.  For example
    `86400`."""
    retain: Annotated[
        float,
        Meta(
            ge=184 * DAY,
            le=36500 * DAY,
            extra={"unit": "seconds", "why": "six months of records, 184 days, are to be kept"},
        ),
    ] = 400 * DAY
    """How long archive files are kept.  At least 184 days: the law asks for six months.  For
    example `34560000`."""
    codes: Path | None = None
    """A table of status codes that goes before the one shipped.  For example `"codes.tsv"`."""
    park_after: ShortSeconds = 60.0
    """What has to wait longer (`not_before`, no usable account) waits in `topics.parked`.  For
    example `60.0`."""


class Topics(Section, frozen=True, kw_only=True):
    jobs: Annotated[tuple[Topic, ...], Meta(min_length=1, max_length=16)] = (
        "sms.jobs.urgent",
        "sms.jobs",
    )
    """Earlier ones are taken first, whatever waits in later ones.  For example `["sms.jobs.urgent",
    "sms.jobs"]`."""
    reports: Topic = "sms.reports"
    """What became of every message.  For example `"sms.reports"`."""
    inbound: Topic = "sms.inbound"
    """Messages from subscribers.  For example `"sms.inbound"`."""
    dead: Topic = "sms.dead"
    """Records that are no jobs.  For example `"sms.dead"`."""
    parked: Topic = "sms.parked"
    """What has to wait long.  For example `"sms.parked"`."""
    state: Topic = "sms.state"
    """What another daemon needs to take over.  For example `"sms.state"`."""


class Broker(Section, frozen=True, kw_only=True):
    kind: Literal["kafka", "local"] = "kafka"
    """`local` is a durable queue inside `state_dir` and needs no server.  For example `"kafka"`."""
    bootstrap: Annotated[tuple[HostPort, ...], Meta(min_length=1)] = ("127.0.0.1:9092",)
    """Where Kafka is asked for its brokers.  For example `["kafka-1:9092", "kafka-2:9092"]`."""
    group: Text = "carrierd"
    """The consumer group; daemons with the same one share the jobs.  For example `"carrierd"`."""
    commit: Literal["answered", "stored"] = "answered"
    """Whether an offset moves when the messages no longer depend on this machine (`answered`: a
    lost disk loses no job), or when they are on its disk (`stored`).  For example `"answered"`."""
    topics: Topics = Topics()
    """The topics, each with one use only.  For example `topics.reports = "sms.reports"`."""
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the connection is secured and who we are is shown.  For example `"SASL_SSL"`."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """Of `SASL_` security.  For example `"SCRAM-SHA-512"`."""
    username: Text | None = None
    """Needed with `SASL_` security, without effect else.  For example `"carrierd"`."""
    password: Secret | None = None
    """Needed with `SASL_` security, without effect else.  For example
    `"CARRIERD_KAFKA_PASSWORD"`."""
    ca_file: Path | None = None
    """Authorities that Kafka's certificate is checked against, when the system's own do not do.
    For example `"/etc/carrierd/kafka-ca.pem"`."""


class Http(Section, frozen=True, kw_only=True):
    listen: Address = Address("127.0.0.1", 9464)
    """/metrics /healthz /readyz /status; port 0 takes a free one.  For example
    `"127.0.0.1:9464"`."""


class Node(Section, frozen=True, kw_only=True):
    """One gateway address of an account."""

    name: Name
    """In metrics, reports and logs; each node of an account has another.  For example `"nj-1"`."""
    host: Text
    """Name or address of the gateway.  For example `"10.20.0.11"`."""
    port: Port
    """The gateway's port.  For example `7890`."""
    binds: Annotated[int, Meta(ge=1, le=1000, extra={"unit": "connections"})] = 1
    """Connections that are kept logged in.  For example `2`."""
    priority: Annotated[int, Meta(ge=0, le=1000)] = 1
    """Lower is preferred; equal priorities share the load.  For example `1`."""
    local_address: str | None = None
    """The source address to connect from; carriers admit fixed ones.  For example `"10.20.9.5"`."""


class Listener(NamedTuple):
    """What an SGIP account needs so that the carrier can connect to us."""

    address: Address
    login: str
    password: Secret
    allow: tuple[Network, ...]


class Account(Section, frozen=True, kw_only=True):
    """One set of credentials at one carrier, with its nodes and the carrier's quirks."""

    carrier: Carrier
    """Whose account it is; routes and reports say it.  For example `"mobile"`."""
    protocol: Protocol
    """What the gateway speaks.  It never follows from the carrier.  For example `"cmpp"`."""
    version: Literal["1.2", "2.0", "3.0", "3.4"]
    """Of the protocol: 2.0 or 3.0 of CMPP, 1.2 of SGIP, 3.0 of SMGP, 3.4 of SMPP.  For example
    `"3.0"`."""
    login: Text
    """SP_Id, client id, system_id.  For example `"901234"`."""
    password: Secret
    """Shared secret of the login.  For example `"XZ_MOBILE_PASSWORD"`."""
    access_number: Annotated[str, Meta(pattern=r"\A[0-9]{1,20}\Z", description="1 to 20 digits")]
    """Every source number begins with it.  For example `"106575257777"`."""
    service_id: Annotated[str, Meta(max_length=10)] = ""
    """The service code that the carrier gave with the account.  For example `"XZ12123"`."""
    rate: Rate
    """What may be written in any one second, all binds of the account together; each destination
    counts.  For example `200`."""
    window: Annotated[int, Meta(ge=1, le=10_000, extra={"unit": "submits"})] = 16
    """Unanswered submits per bind.  For example `16`."""
    answer_within: ShortSeconds = 5.0
    """A submit without an answer for this long is uncertain.  For example `5.0`."""
    keepalive: ShortSeconds = 30.0
    """Silence after which the link is tested.  For example `30.0`."""
    report_within: Seconds = 3 * DAY
    """No final report by then: expired.  For example `259200`."""
    max_binds: Annotated[int, Meta(ge=0, le=10_000, extra={"unit": "connections"})] = 0
    """The most binds of all nodes together; 0: as many as the nodes list.  For example `4`."""
    nodes: Annotated[tuple[Node, ...], Meta(min_length=1)]
    """The account's gateways, tables of `[[accounts.NAME.nodes]]`.  For example `[{ name = "nj-1",
    host = "10.20.0.11", port = 7890 }]`."""

    node_id: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] | None = None
    """SGIP: our node number, 3, area code and enterprise code.  For example `3025112345`."""
    corp_id: Annotated[str, Meta(pattern=r"\A[0-9]{1,5}\Z", description="1 to 5 digits")] | None = (
        None
    )
    """SGIP: the enterprise code.  For example `"12345"`."""
    listen: Address | None = None
    """SGIP: where the carrier connects to us with Deliver and Report.  For example
    `"0.0.0.0:8801"`."""
    listen_login: Text | None = None
    """SGIP: what the carrier logs in with there; accounts that share an address have different
    ones.  For example `"smg"`."""
    listen_password: Secret | None = None
    """SGIP: the carrier's password there.  For example `"XZ_UNICOM_LISTEN"`."""
    listen_allow: Annotated[tuple[Network, ...], Meta(min_length=1)] | None = None
    """SGIP: where the carrier may connect from; others are closed unanswered.  For example
    `["10.30.0.0/24"]`."""

    udhi: Literal[1, 64] = 1
    """Value of the header indicator of long messages; a few gateways want 64.  For example `64`."""
    md5_pad: bool = False
    """CMPP, SMGP: the login's digest takes the login padded to its field.  For example `true`."""
    report_id: Literal["auto", "text", "hex", "decimal"] = "auto"
    """SMPP: how reports spell the id that the answer gave: as it is, in hexadecimal where the
    answer has decimal, in decimal where it has hexadecimal; `auto` understands all.  For example
    `"decimal"`."""
    throttle_codes: tuple[Annotated[int, Meta(ge=0, le=0xFFFFFFFF)], ...] = ()
    """Answers that mean "slower", beside the protocol's own.  For example `[250]`."""
    encoding: Literal["auto", "ucs2", "gbk", "ascii"] = "auto"
    """Of texts: `auto` takes ASCII or GSM 7-bit where the text fits, else UCS-2.  For example
    `"ucs2"`."""
    long: Literal["udh8", "udh16", "sar", "payload"] = "udh8"
    """How parts of a message say that they belong together: a header with a reference of 8 or 16
    bits, or in SMPP the `sar_` parameters, or the whole text in `message_payload`.  For example
    `"udh16"`."""
    bind_mode: Literal["trx", "tx+rx"] = "trx"
    """SMPP and SMGP: one connection for both directions, or one for each.  For example
    `"tx+rx"`."""
    system_type: Annotated[str, Meta(max_length=12)] = ""
    """SMPP: what the login calls its system.  For example `"SMPP"`."""
    signature_by: Literal["client", "gateway"] = "client"
    """Who puts the signature in front; `gateway` when the gateway adds it by itself.  For example
    `"gateway"`."""
    max_destinations: Annotated[int, Meta(ge=1, le=99, extra={"unit": "recipients"})] = 1
    """The most recipients of one job in one submit, 80 with SGIP.  For example `99`."""
    adapt: bool = True
    """Slow down while the gateway's answers take longer than they did; throttle answers slow the
    account down in any case.  For example `false`."""
    min_rate: Rate | None = None
    """How far the account is slowed down at most; a tenth of `rate` when absent.  For example
    `20`."""
    shares: Mapping[str, Weight] = {}
    """The instances that share the account, by `daemon.name`, and the weight of each; none: it is
    all this one's. In a configuration of one instance they are taken into account already.  For
    example `{ "xz-a" = 1, "xz-b" = 1 }`."""

    @property
    def lowest_rate(self) -> float:
        """Parts per second below which nothing slows the account down."""
        return self.rate / 10 if self.min_rate is None else self.min_rate

    @property
    def binds_by_node(self) -> tuple[int, ...]:
        """Connections to hold, in the order of the nodes."""
        return within([node.binds for node in self.nodes], self.max_binds)

    @property
    def binds(self) -> int:
        """Connections to hold, all nodes together."""
        return sum(self.binds_by_node)

    @property
    def binds_by_instance(self) -> dict[str, tuple[int, ...]]:
        """As `binds_by_node`, for each of the instances in `shares`."""
        priorities = [node.priority for node in self.nodes]
        return deal(self.binds_by_node, priorities, self.shares)

    def share(self, instance: str) -> Account:
        """What this instance has of the account: its part of the rates, and of the binds.

        Nodes it has no bind to are absent.  Without `shares` the account itself.  Raises KeyError
        for an instance that is not among them.
        """
        if not self.shares:
            return self
        part = parts(self.shares)[instance]
        dealt = zip(self.nodes, self.binds_by_instance[instance], strict=True)
        return structs.replace(
            self,
            rate=portion(self.rate, part),
            min_rate=None if self.min_rate is None else portion(self.min_rate, part),
            nodes=tuple(structs.replace(node, binds=binds) for node, binds in dealt if binds),
            max_binds=0,
            shares={},
        )

    @property
    def listener(self) -> Listener | None:
        """SGIP's own listening side; None for the other protocols."""
        if self.listen is None or self.listen_login is None:
            return None
        if self.listen_password is None or self.listen_allow is None:
            return None
        return Listener(self.listen, self.listen_login, self.listen_password, self.listen_allow)


class Routes(Section, frozen=True, kw_only=True):
    """Carrier of the number -> accounts, first usable wins."""

    mobile: tuple[str, ...] = ()
    """Accounts for China Mobile's numbers.  For example `["xz-mobile"]`."""
    unicom: tuple[str, ...] = ()
    """Accounts for China Unicom's numbers.  For example `["xz-unicom"]`."""
    telecom: tuple[str, ...] = ()
    """Accounts for China Telecom's numbers.  For example `["xz-telecom"]`."""
    broadnet: tuple[str, ...] = ()
    """Accounts for China Broadnet's numbers.  For example `["xz-broadnet", "xz-mobile"]`."""
    default: tuple[str, ...] = ()
    """Accounts for unknown prefixes; none: `LOCAL:NO_ROUTE`.  For example `["xz-mobile"]`."""
    prefixes: Path | None = None
    """A table of number prefixes that goes before the one shipped.  For example
    `"prefixes.tsv"`."""


class Uncertain(Section, frozen=True, kw_only=True):
    """What was written to the gateway and not answered."""

    hold: Delay = 10.0
    """How long a report is awaited first.  For example `10.0`."""
    then: Literal["resend", "wait"] = "resend"
    """What happens when no report came: the parts without an answer go once more, or never.  For
    example `"wait"`."""


_BEHAVIOUR = get_type_hints(Behaviour, include_extras=True)

Override = defstruct(
    "Override",
    [(key, Optional[_BEHAVIOUR[key]], None) for key in Behaviour.__struct_fields__],  # noqa: UP045
    module=__name__,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
"""`[simulate.accounts.<name>]`: what differs for one account; None: nothing."""


class Simulate(Behaviour, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `carrierd simulate` does; `run` takes no notice of it."""

    listen: Address | None = None
    """HTTP for POST /faults, POST /mo and GET /counts; port 0 takes a free one.  For example
    `"127.0.0.1:9465"`."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """Of the chances: the same seed plays the same faults.  For example `7`."""
    accounts: Mapping[str, Override] = {}  # type: ignore[valid-type]
    """What differs for one account, tables `[simulate.accounts.NAME]` of the same keys.  For
    example `{ xz-mobile = { throttle = 0.1 } }`."""

    def behaviour(self, account: str) -> Behaviour:
        """What applies to this account: its own settings before the general ones.

        Raises ValueError when they do not go together.
        """
        own = self.accounts.get(account)
        own_or_not = {key: getattr(own, key, None) for key in Behaviour.__struct_fields__}
        return Behaviour(
            **{
                key: getattr(self, key) if value is None else value
                for key, value in own_or_not.items()
            }
        )


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    daemon: Daemon = Daemon()
    broker: Broker = Broker()
    http: Http = Http()
    accounts: Mapping[str, Account] = {}
    routes: Routes = Routes()
    uncertain: Uncertain = Uncertain()
    simulate: Simulate = Simulate()

    def share(self, instance: str) -> Config:
        """The configuration of this instance: of accounts that have `shares`, its own."""
        accounts = {name: account.share(instance) for name, account in self.accounts.items()}
        return structs.replace(self, accounts=accounts)
