"""HTTP for whoever tests the daemon: what went wrong, what arrived, and what goes wrong next.

    POST /faults   {"node": "account/node" | "account" | "*", ...}
        any field of Behaviour; "freeze": true, "deaf", "mute" or false; "kill", "revive",
        "hang_up", "farewell", "reset": true; "quirks": an object, for new connections
    POST /mo       {"account", "from", "to" or "ext", "text"}
        and at will "node", "encoding", "long"
    GET  /counts   what reached the gateways
        ?seconds=1 adds the submits of every second
    POST /missing  {"account", "to": [numbers]}
        those of the numbers that no part has reached, for any sender

Freezing, killing and quirks are the whole gateway's, also where accounts share its address.  A
request that is not understood changes nothing and gets 400 with {"error", "field", "allowed"}.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from protocols.errors import EncodeError

from .account import Account
from .behaviour import Behaviour
from .fleet import Fleet, Place, node_names
from .gateway import Freeze, SimGateway
from .loopback import is_loopback

ACTIONS = ("kill", "revive", "hang_up", "farewell", "reset")
FREEZE: dict[Any, Freeze | None] = {True: "deaf", False: None, "deaf": "deaf", "mute": "mute"}
MOST_OCTETS = 64 * 1024

Digits = Annotated[str, Meta(pattern=r"\A[0-9]{1,21}\Z", description="1 to 21 digits")]


class Mo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"sender": "from"}):
    """The body of POST /mo."""

    account: str
    sender: Digits
    text: Annotated[str, Meta(min_length=1, max_length=10_000)]
    to: Digits | None = None
    """The whole access number written to."""
    ext: Annotated[str, Meta(pattern=r"\A[0-9]{0,20}\Z", description="up to 20 digits")] = ""
    """What follows the account's access number, instead of `to`."""
    node: str | None = None
    """The first that listens, when absent."""
    encoding: Literal["auto", "ucs2", "gbk", "ascii"] = "auto"
    long: Literal["udh8", "udh16", "sar"] = "udh8"


class Missing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /missing."""

    account: str
    to: list[str]


class RefusedError(Exception):
    """The request cannot be done; nothing was changed."""

    def __init__(self, error: str, field: str = "", allowed: Any = None) -> None:
        super().__init__(error)
        self.field, self.allowed = field, allowed


class Control:
    """Serves one fleet; loopback only."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Returns the port; raises ValueError unless loopback, OSError when it is taken."""
        if not is_loopback(host):
            raise ValueError(f"simulate.listen: {host!r} is not loopback")
        app = web.Application(client_max_size=MOST_OCTETS)
        app.router.add_post("/faults", self._on_faults)
        app.router.add_post("/mo", self._on_mo)
        app.router.add_get("/counts", self._on_counts)
        app.router.add_post("/missing", self._on_missing)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _on_counts(self, request: web.Request) -> web.Response:
        return _json(self.fleet.counts(seconds=bool(request.query.get("seconds"))))

    async def _on_faults(self, request: web.Request) -> web.Response:
        try:
            places = await self._faults(await _object(request))
        except RefusedError as exc:
            return _refused(exc)
        return _json({"nodes": node_names(places)})

    async def _on_mo(self, request: web.Request) -> web.Response:
        try:
            return _json(self._mo(await _object(request)))
        except RefusedError as exc:
            return _refused(exc)

    async def _on_missing(self, request: web.Request) -> web.Response:
        try:
            return _json({"missing": self._missing(await _object(request))})
        except RefusedError as exc:
            return _refused(exc)

    def _missing(self, asked: dict[str, Any]) -> list[str]:
        try:
            missing = msgspec.convert(asked, Missing)
        except msgspec.ValidationError as exc:
            raise _invalid(exc) from exc
        reached = self._account(missing.account).reached
        return [to for to in missing.to if not reached.has_met(to)]

    def _account(self, name: str) -> Account:
        account = self.fleet.accounts.get(name)
        if account is None:
            allowed = list(self.fleet.accounts)
            raise RefusedError(f"account: {name!r} is nobody here", "account", allowed)
        return account

    async def _faults(self, asked: dict[str, Any]) -> list[Place]:
        names = [*self.fleet.places, *self.fleet.accounts, "*"]
        pattern = asked.pop("node", None)
        if not isinstance(pattern, str):
            raise RefusedError("node: missing, or not a string", "node", names)
        places = self.fleet.match(pattern)
        if not places:
            raise RefusedError(f"node: {pattern!r} is nobody here", "node", names)
        frozen = _freeze(asked)
        gateways = list({id(place.gateway): place.gateway for place in places}.values())
        quirks = _quirks(asked, gateways)
        actions = {name: _flag(name, asked.pop(name)) for name in ACTIONS if name in asked}
        for name in asked:
            if name not in Behaviour.__struct_fields__:
                fields = Behaviour.__struct_fields__
                allowed = ["node", "freeze", "quirks", *ACTIONS, *fields]
                raise RefusedError(f"{name}: is not known", name, allowed)
        # Everything is judged before anything is changed.
        reset = actions.get("reset", False)
        changed = []
        for place in places:
            node = place.node
            was = node.configured if reset else node.behaviour
            try:
                behaviour = was.changed(asked)
            except msgspec.ValidationError as exc:
                raise _invalid(exc) from exc
            try:
                place.gateway.dialect.check(behaviour)
            except ValueError as exc:
                field = str(exc).partition(":")[0]
                raise RefusedError(f"{node.full_name}: {exc}", field) from exc
            changed.append((node, behaviour))
        for node, behaviour in changed:
            node.chances.change(behaviour)
        for gateway in gateways:
            if quirks is not None or reset:
                gateway.bend(gateway.configured if quirks is None else quirks)
            if reset and frozen is _AS_IS:
                gateway.freeze(None)
            elif frozen is not _AS_IS:
                gateway.freeze(FREEZE[frozen])
            if actions.get("kill"):
                gateway.kill()
            if actions.get("revive") or (reset and not actions.get("kill")):
                try:
                    await gateway.revive()
                except OSError as exc:
                    raise RefusedError(f"revive: {exc}", "revive") from exc
        for place in places:
            if actions.get("farewell"):
                place.gateway.farewell(place.node)
            if actions.get("hang_up"):
                place.gateway.hang_up(place.node)
        return places

    def _mo(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            mo = msgspec.convert(asked, Mo)
        except msgspec.ValidationError as exc:
            raise _invalid(exc) from exc
        account = self._account(mo.account)
        if mo.to is not None and mo.ext:
            raise RefusedError("ext: not together with to", "ext")
        to = mo.to if mo.to is not None else account.access_number + mo.ext
        if len(to) > 21:
            raise RefusedError(f"ext: the whole number {to!r} is longer than 21 digits", "ext")
        places = [place for place in self.fleet.match(account.name) if place.gateway.up]
        if mo.node is not None:
            names = [node.name for node in account.nodes]
            places = [self.fleet.places[f"{account.name}/{mo.node}"]] if mo.node in names else []
            if not places:
                raise RefusedError(f"node: {mo.node!r} is not one of the account's", "node", names)
        if not places:
            places = self.fleet.match(account.name)
        if mo.long == "sar" and account.protocol != "smpp":
            raise RefusedError("long: sar is SMPP's alone", "long", ["udh8", "udh16"])
        try:
            parts = self.fleet.deliver(
                places[0], mo.sender, to, mo.text, encoding=mo.encoding, header=mo.long
            )
        except EncodeError as exc:
            raise RefusedError(str(exc), "text") from exc
        return {"parts": parts, "to": to, "node": places[0].node.full_name}


_AS_IS = object()


def _freeze(asked: dict[str, Any]) -> Any:
    if "freeze" not in asked:
        return _AS_IS
    frozen = asked.pop("freeze")
    if not isinstance(frozen, bool | str) or frozen not in FREEZE:
        raise RefusedError(f"freeze: {frozen!r} is not known", "freeze", list(FREEZE))
    return frozen


def _quirks(asked: dict[str, Any], gateways: list[SimGateway]) -> dict[str, Any] | None:
    if "quirks" not in asked:
        return None
    quirks = asked.pop("quirks")
    for gateway in gateways:
        try:
            gateway.dialect.bend(quirks)
        except msgspec.ValidationError as exc:
            allowed = list(gateway.dialect.quirks.__struct_fields__)
            raise RefusedError(f"quirks: {exc}", "quirks", allowed) from exc
    return dict(quirks)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise RefusedError(f"{name}: {value!r} is neither true nor false", name, [True, False])
    return value


def _invalid(exc: msgspec.ValidationError) -> RefusedError:
    """msgspec says `Expected ... - at `$.field``, or `... field `name``."""
    said = str(exc)
    place = re.search(r" - at `\$\.([^`]*)`", said) or re.search(r"field `([^`]*)`", said)
    field = place[1] if place else ""
    text = said.partition(" - at ")[0]
    return RefusedError(f"{field}: {text}" if field else text, field)


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        read = msgspec.json.decode(await request.read())
    except msgspec.DecodeError as exc:
        raise RefusedError(f"body: not JSON: {exc}") from exc
    if not isinstance(read, dict):
        raise RefusedError("body: a JSON object is allowed")
    return read


def _refused(exc: RefusedError) -> web.Response:
    return _json({"error": str(exc), "field": exc.field, "allowed": exc.allowed}, status=400)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )
