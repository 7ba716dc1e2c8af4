"""What several keys must be to each other, and what a protocol can carry.

Each rule looks only at values that are sound by themselves: a faulty one is already
reported and reads as None.  Faults stop the daemon; warnings are things that work and
are probably not meant.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from daemon.sim.behaviour import Behaviour

from . import instances
from .hints import allowed, shown
from .lines import Place
from .reading import Reader, Table
from .schema import Address, Name
from .secret import Secret

CARRIERS = ("mobile", "unicom", "telecom", "broadnet")
ROUTES = (*CARRIERS, "default")
SGIP_KEYS = ("node_id", "corp_id", "listen", "listen_login", "listen_password", "listen_allow")
# Quirks that only some protocols have a use for; elsewhere they draw a warning.
ONLY_FOR = {"md5_pad": ("cmpp", "smgp"), "system_type": ("smpp",), "bind_mode": ("smgp", "smpp")}


class Limits(NamedTuple):
    """What fits in one protocol's fields; lengths are octets."""

    versions: tuple[str, ...]
    login: int
    password: int | None
    """None where only a digest of it goes on the wire."""
    service_id: int
    destinations: int
    window: int | None
    """The most unanswered submits the specification knows; None where it leaves it open."""


# CMPP 3.0 (Connect, Submit, flow control), SGIP 1.2 (Bind, Submit, 3.1), SMGP 3.0.3 (Login,
# Submit), SMPP 3.4 (4.1.1, 4.4.1).  An SGIP packet ends at 2 KB: 80 numbers beside a full text.
LIMITS = {
    "cmpp": Limits(("2.0", "3.0"), 6, None, 10, 99, 16),
    "sgip": Limits(("1.2",), 16, 16, 10, 80, 32),
    "smgp": Limits(("3.0",), 8, 15, 10, 99, 16),
    "smpp": Limits(("3.4",), 15, 8, 5, 99, None),
}
SGIP_LOGIN = 16


def apply(reader: Reader, root: Table, named: Iterable[str], instance: str | None = None) -> None:
    """Adds what the rules find to the reader's faults and warnings.

    `named`: every account name in the file, also of accounts with faults of their own.
    `instance`: whose shares are wanted, `daemon.name` when None.
    """
    names = frozenset(named)
    accounts: dict[str, Table] = root.get("accounts") or {}
    daemon, broker = root.get("daemon"), root.get("broker")
    instance = instance or (daemon.get("name") if daemon is not None else None)
    for name, account in accounts.items():
        _name(reader, ("accounts", name))
        _protocol(reader, account)
        _nodes(reader, account)
        for other in account.get("shares") or ():
            _name(reader, (*account.path, "shares", other))
        instances.apply(reader, account, instance)
        if account.get("shares") and broker is not None and broker.get("kind") == "local":
            reader.warn(
                (*account.path, "shares"),
                "has a local broker beside it, through which a report that comes to another "
                "instance does not find its message",
            )
    _file(reader, daemon, "codes")
    _broker(reader, broker)
    _routes(reader, root.get("routes"), names)
    _simulate(reader, root.get("simulate"), names)
    _addresses(reader, root, accounts)


def _name(reader: Reader, path: Place) -> None:
    try:
        msgspec.convert(path[-1], Name)
    except msgspec.ValidationError:
        reader.fault(path, f"is no usable name, allowed are {allowed(Name)}")


def _protocol(reader: Reader, account: Table) -> None:
    """What the account's protocol can carry."""
    protocol, path = account.get("protocol"), account.path
    if protocol is None:
        return
    limits = LIMITS[protocol]
    version = account.get("version")
    if version is not None and version not in limits.versions:
        versions = ", ".join(f'"{one}"' for one in limits.versions)
        reader.fault((*path, "version"), f'is "{version}", allowed with {protocol} is {versions}')
    _octets(reader, account, "login", limits.login, protocol)
    _octets(reader, account, "password", limits.password, protocol)
    _octets(reader, account, "service_id", limits.service_id, protocol)
    _sgip(reader, account, protocol)
    most = account.get("max_destinations")
    if most is not None and most > limits.destinations:
        reader.fault(
            (*path, "max_destinations"),
            f"is {most}, allowed with {protocol} is an integer from 1 to {limits.destinations}",
        )
    if account.get("long") in ("sar", "payload") and protocol != "smpp":
        reader.fault(
            (*path, "long"),
            f'is "{account.get("long")}", allowed with {protocol} is "udh8" or "udh16"',
        )
    rate, lowest = account.get("rate"), account.get("min_rate")
    if rate is not None and lowest is not None and lowest > rate:
        reader.fault(
            (*path, "min_rate"), f"is {lowest:g}, allowed is at most the account's rate, {rate:g}"
        )
    _protocol_warnings(reader, account, protocol, limits)


def _protocol_warnings(reader: Reader, account: Table, protocol: str, limits: Limits) -> None:
    path = account.path
    for key, only in ONLY_FOR.items():
        if key in account.given and protocol not in only:
            meant = " and ".join(only)
            reader.warn((*path, key), f"has no effect with {protocol}, it is for {meant}")
    window = account.get("window")
    if window is not None and limits.window is not None and window > limits.window:
        reader.warn(
            (*path, "window"),
            f"is {window}, {protocol} gateways commonly admit at most {limits.window}",
        )
    if protocol == "smgp" and account.get("long") == "udh16":
        reader.warn((*path, "long"), 'is "udh16", which smgp gateways have been seen to refuse')
    if protocol == "smpp" and account.get("encoding") == "gbk":
        reader.warn((*path, "encoding"), 'is "gbk", which smpp has no standard data_coding for')


def _sgip(reader: Reader, account: Table, protocol: str) -> None:
    path = account.path
    if protocol != "sgip":
        for key in account.given:
            if key.removesuffix("_file").removesuffix("_env") in SGIP_KEYS:
                reader.fault((*path, key), f"is given, allowed only with sgip, not {protocol}")
        return
    for key in SGIP_KEYS:
        forms = (key, f"{key}_file", f"{key}_env") if key == "listen_password" else (key,)
        if not account.given.intersection(forms):
            reader.fault((*path, key), f"is missing, sgip needs {account.allowed(key)}")
    _octets(reader, account, "listen_login", SGIP_LOGIN, protocol)
    _octets(reader, account, "listen_password", SGIP_LOGIN, protocol)
    listen: Address | None = account.get("listen")
    if listen is not None and listen.port == 0:
        reader.fault((*path, "listen"), "has port 0, allowed is a port from 1 to 65535")


def _octets(reader: Reader, table: Table, key: str, most: int | None, protocol: str) -> None:
    """The field is ASCII and has this many octets.  The text of a secret is never shown."""
    value = table.get(key)
    if isinstance(value, Secret):
        value = value.peek()
    if not isinstance(value, str):
        return
    given = next((f for f in (f"{key}_file", f"{key}_env") if f in table.given), key)
    if not value.isascii():
        reader.fault(
            (*table.path, given), f"has characters beyond ASCII, allowed with {protocol} is ASCII"
        )
    elif most is not None and len(value) > most:
        reader.fault(
            (*table.path, given),
            f"has {len(value)} octets, allowed with {protocol} are at most {most}",
        )


def _nodes(reader: Reader, account: Table) -> None:
    nodes: tuple[Table, ...] = account.get("nodes") or ()
    names = Counter[str]()
    for node in nodes:
        name = node.get("name")
        names[name] += 1
        if name is not None and names[name] > 1:
            reader.fault(
                (*node.path, "name"),
                f'is "{name}" a second time, allowed is a name no other node of the account has',
            )
        host = node.get("host")
        if host is not None and (set(host) & set("/[]") or any(c.isspace() for c in host)):
            reader.fault((*node.path, "host"), "is no host, allowed is a name or an address")
        local = node.get("local_address")
        if local is not None and not _is_address(local):
            reader.fault(
                (*node.path, "local_address"), "is no address, allowed is one of this machine"
            )


def _broker(reader: Reader, broker: Table | None) -> None:
    if broker is None:
        return
    for at, one in enumerate(broker.get("bootstrap") or ()):
        if one is not None and int(one.rpartition(":")[2]) not in range(1, 65536):
            reader.fault(
                (*broker.path, "bootstrap", at), f'is "{one}", allowed is a port from 1 to 65535'
            )
    _file(reader, broker, "ca_file")
    security: str | None = broker.get("security")
    if security is not None:
        sasl = security.startswith("SASL_")
        for key in ("username", "password"):
            present = broker.given & {key, f"{key}_file", f"{key}_env"}
            if sasl and not present:
                reader.fault((*broker.path, key), f"is missing, {security} needs one")
            elif present and not sasl:
                reader.warn((*broker.path, min(present)), f"has no effect with {security}")
        if "ca_file" in broker.given and not security.endswith("SSL"):
            reader.warn((*broker.path, "ca_file"), f"has no effect with {security}")
    if (topics := broker.get("topics")) is not None:
        _topics(reader, topics)


def _topics(reader: Reader, topics: Table) -> None:
    """A topic has one use: jobs that are reports would go round for ever."""
    uses = [((*topics.path, "jobs", at), one) for at, one in enumerate(topics.get("jobs") or ())]
    keys = ("reports", "inbound", "dead", "parked", "state")
    uses += [((*topics.path, key), topics.get(key)) for key in keys]
    seen: set[str] = set()
    for path, topic in uses:
        if topic in seen:
            reader.fault(
                path, f'is "{topic}", already used above, allowed is a topic of its own for each'
            )
        elif topic is not None:
            seen.add(topic)


def _routes(reader: Reader, routes: Table | None, accounts: frozenset[str]) -> None:
    if routes is None:
        return
    routed: set[str] = set()
    known = _listed(accounts)
    for key in ROUTES:
        seen: set[str] = set()
        for at, name in enumerate(routes.get(key) or ()):
            path = (*routes.path, key, at)
            if name is None:
                continue
            if name not in accounts:
                reader.fault(
                    path, f"is {shown(name)}, allowed are the accounts of this file: {known}"
                )
            elif name in seen:
                reader.fault(path, f"is {shown(name)} a second time, allowed is each account once")
            seen.add(name)
        routed |= seen
    for name in accounts - routed:
        reader.warn(("accounts", name), "is in no route, only jobs that name it will use it")
    _file(reader, routes, "prefixes")


def _listed(names: Iterable[str]) -> str:
    """On one line, whatever the file calls its accounts."""
    return ", ".join(n if n.isprintable() else shown(n) for n in sorted(names)) or "none yet"


def _simulate(reader: Reader, simulate: Table | None, accounts: frozenset[str]) -> None:
    if simulate is None:
        return
    listen: Address | None = simulate.get("listen")
    if listen is not None and not is_loopback(listen.host):
        reader.fault(
            (*simulate.path, "listen"),
            f'is "{listen}", allowed is a loopback address such as "127.0.0.1:9465"',
        )
    known = _listed(accounts)
    overrides: dict[str, Table] = simulate.get("accounts") or {}
    for name, override in overrides.items():
        if name not in accounts:
            reader.fault(override.path, f"is no account, allowed are those of this file: {known}")
    keys = Behaviour.__struct_fields__
    general = {key: simulate.get(key) for key in keys if simulate.get(key) is not None}
    for table in (simulate, *overrides.values()):
        own = {key: table.get(key) for key in keys if table.get(key) is not None}
        try:
            Behaviour(**(general | own))
        except ValueError as exc:
            reader.fault(table.path, str(exc))


def _addresses(reader: Reader, root: Table, accounts: dict[str, Table]) -> None:
    """No two of our own listeners want one port, except SGIP accounts that share theirs."""
    taken: list[tuple[Address, Place, str]] = []
    logins: set[tuple[Address, str]] = set()
    for account in accounts.values():
        listen: Address | None = account.get("listen")
        if listen is None:
            continue
        login = account.get("listen_login")
        if login is not None and (listen, login) in logins:
            reader.fault(
                (*account.path, "listen_login"),
                f"is {shown(login)} a second time on {listen}, allowed is another for each account "
                "that shares a listen address",
            )
        logins.add((listen, login))
        _take(reader, taken, listen, (*account.path, "listen"), "sgip")
    for section in ("http", "simulate"):
        table = root.get(section)
        listen = table.get("listen") if table is not None else None
        if listen is not None and listen.port:
            _take(reader, taken, listen, (section, "listen"), section)


def _take(
    reader: Reader, taken: list[tuple[Address, Place, str]], own: Address, path: Place, use: str
) -> None:
    for other, _, other_use in taken:
        same_host = own.host == other.host
        if own.port != other.port or (same_host and use == other_use == "sgip"):
            continue
        if same_host or _is_any(own.host) or _is_any(other.host):
            reader.fault(
                path, f'is "{own}", which {other} ({other_use}) takes, allowed is a port of its own'
            )
            return
    taken.append((own, path, use))


def _file(reader: Reader, table: Table | None, key: str) -> None:
    file: Path | None = table.get(key) if table is not None else None
    if table is None or file is None:
        return
    try:
        with file.open("rb") as stream:
            stream.read(1)
    except OSError as exc:
        reader.fault(
            (*table.path, key),
            f"cannot be read ({exc.strerror}: {file}), allowed is a file that this user may read",
        )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_any(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified
