"""The four protocols as simulated gateways speak them; nobody else here names one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, cast

import msgspec
from msgspec import Struct

from protocols.cmpp.gateway import CmppGateway
from protocols.cmpp.msgid import MsgIds as CmppIds
from protocols.cmpp.strict import Rules as CmppRules
from protocols.events import Submitted
from protocols.gateway import GatewaySession
from protocols.session import BEIJING, Clock, Limits
from protocols.sgip.frames import Counter, Sequences
from protocols.sgip.gateway import SgipGateway, SgipReporter
from protocols.sgip.strict import Rules as SgipRules
from protocols.smgp.gateway import SmgpGateway
from protocols.smgp.msgid import MsgIds as SmgpIds
from protocols.smgp.strict import Rules as SmgpRules
from protocols.smpp.gateway import SmppGateway
from protocols.smpp.msgid import MsgIds as SmppIds
from protocols.smpp.strict import Rules as SmppRules

from .account import Account, Listener
from .behaviour import Behaviour

Secrets = Callable[[str], str | None]


class Ids(Protocol):
    """Where a gateway takes its ids from; `at` is in seconds since 1970."""

    def take(self, event: Submitted, at: float) -> tuple[bytes, ...]:
        """What reports will quote, one for each recipient; the answer has the first."""
        ...

    def identity(self, at: float) -> bytes:
        """For a new report or inbound message, kept when it is delivered again."""
        ...

    def bend(self, quirks: dict[str, Any]) -> None:
        """What of the gateway's quirks is about ids."""
        ...


class PartlyTaken(Protocol):
    """A session that can answer a list with yes but for some, each with its status."""

    def answer_partly(
        self, ticket: Any, carrier_id: bytes, refused: Sequence[tuple[str, int]]
    ) -> None: ...


class Quirks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Ways in which real gateways of one protocol differ; the session's class explains each."""


class CmppQuirks(Quirks, frozen=True, kw_only=True):
    same_id: bool = False
    report_60: bool = False
    udhi: Literal[1, 64] = 1
    prefix: Literal["", "86", "+86"] = ""
    wide_connect_resp: bool = False
    bare_active_test_resp: bool = False


class SgipQuirks(Quirks, frozen=True, kw_only=True):
    bare_numbers: bool = False
    short_answers: bool = False
    reserve: str = ""


class SmgpQuirks(Quirks, frozen=True, kw_only=True):
    same_id: bool = False
    spelling: Literal["plain", "capital", "underscore"] = "plain"
    text_id: bool = False
    udhi: Literal[1, 64] | None = 1
    prefix: Literal["", "86", "+86"] = ""
    stray_tlv: bool = False


class SmppQuirks(Quirks, frozen=True, kw_only=True):
    receipt: Literal["both", "text", "tlv"] = "both"
    text_id: Literal["same", "hex", "decimal"] = "same"
    dates: Literal[10, 12, 14] = 10
    error_bodies: bool = False
    says_version: bool = True


@dataclass(slots=True, frozen=True)
class Dialect:
    """One protocol's numbers and words, and how its sessions are made."""

    throttle: int
    """Submit: slower."""
    refusal: int
    """Submit: the source number is not allowed."""
    bad_number: int
    """Submit: a recipient's number is not allowed."""
    busy: int
    """Login: not now."""
    full: int
    """Login: too many connections."""
    stranger: int
    """Login: nobody has that name."""
    gateway: Callable[..., GatewaySession]
    """Called with limits, clock, secrets, and quirks as keywords."""
    quirks: type[Quirks]
    ids: Callable[[int], Ids]
    knows: Callable[[GatewaySession, Account], None] = lambda session, account: None
    """Tell the session what was agreed with the account that logs in."""
    agreed: Callable[[int, str], dict[str, Any]] = lambda udhi, report_id: {"udhi": udhi}
    """The quirks behind an account's `udhi` and `report_id`."""
    names_refused: bool = False
    """Whether its sessions are PartlyTaken; else a list is refused whole."""
    keepalive: bool = True
    dials_back: bool = False
    """The gateway connects to the client to deliver."""
    most_status: int = 0xFFFFFFFF
    code: re.Pattern[str] = re.compile(r"[!-~]{1,7}")
    code_words: str = "a status word of up to 7 characters"
    delivered: str = "DELIVRD"
    undelivered: tuple[str, ...] = ("UNDELIV", "EXPIRED", "REJECTD")
    intermediate: str = "ACCEPTD"

    def check(self, behaviour: Behaviour) -> None:
        """Raises ValueError for what this protocol cannot say, naming the field."""
        for name in ("throttle_status", "refuse_status", "refuse_logins"):
            status = getattr(behaviour, name)
            if status > self.most_status:
                raise ValueError(f"{name}: {status}, at most {self.most_status} is allowed")
        for code in behaviour.undelivered_codes:
            if not self.code.fullmatch(code):
                raise ValueError(f"undelivered_codes: {code!r}, allowed is {self.code_words}")

    def bend(self, quirks: dict[str, Any]) -> dict[str, Any]:
        """These quirks as the session's keywords; raises msgspec.ValidationError."""
        return msgspec.structs.asdict(msgspec.convert(quirks, self.quirks))

    def words(self, quirks: dict[str, Any]) -> dict[str, Any]:
        """Those of `bend`'s that the session has to know."""
        return {name: value for name, value in quirks.items() if name != "same_id"}


class _Moments:
    """Seconds since 1970 as a date in Beijing; one is made per second."""

    __slots__ = ("_made", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._made = datetime.fromtimestamp(0, BEIJING)

    def at(self, at: float) -> datetime:
        second = int(at)
        if second != self._second:
            self._second = second
            self._made = datetime.fromtimestamp(second, BEIJING)
        return self._made


class _Maker(Protocol):
    def next(self, moment: datetime) -> bytes: ...


class _MadeIds:
    """Ids that the gateway makes from the time, its code and a counter.

    Reports and inbound messages count by themselves: at tens of thousands a second one counter of
    16 bits would come round within its second.  A list's recipients have one id after the other, or
    with `same_id` all the first.
    """

    __slots__ = ("_deliveries", "_moments", "_same", "_submits")

    def __init__(self, submits: _Maker, deliveries: _Maker) -> None:
        self._submits, self._deliveries = submits, deliveries
        self._moments = _Moments()
        self._same = False

    def take(self, event: Submitted, at: float) -> tuple[bytes, ...]:
        moment = self._moments.at(at)
        first = self._submits.next(moment)
        others = len(event.to) - 1
        if not others:
            return (first,)
        if self._same:
            return (first,) * (1 + others)
        return (first, *[self._submits.next(moment) for _ in range(others)])

    def identity(self, at: float) -> bytes:
        return self._deliveries.next(self._moments.at(at))

    def bend(self, quirks: dict[str, Any]) -> None:
        """They are octets, whatever a report makes of them."""
        self._same = quirks["same_id"]


class _SmgpMaker:
    """A million ids a minute are not enough at full speed: the gateway's code moves on then."""

    __slots__ = ("_code", "_ids", "_left")

    def __init__(self, code: int) -> None:
        self._code = code
        self._renew()

    def _renew(self) -> None:
        self._ids = SmgpIds(f"{self._code % 1_000_000:06}")
        self._code += 1000
        self._left = 1_000_000

    def next(self, moment: datetime) -> bytes:
        if self._left <= 0:
            self._renew()
        self._left -= 1
        return self._ids.next(moment)


class _SmppIds:
    """One message_id for all recipients of a submit; deliveries have none."""

    __slots__ = ("_decimal", "_moments", "_submits")

    def __init__(self, code: int) -> None:
        self._submits = SmppIds(code)
        self._moments = _Moments()
        self._decimal = False

    def take(self, event: Submitted, at: float) -> tuple[bytes, ...]:
        made = self._submits.next(self._moments.at(at))
        return (b"%d" % int(made, 16) if self._decimal else made,) * len(event.to)

    def identity(self, at: float) -> bytes:
        return b""

    def bend(self, quirks: dict[str, Any]) -> None:
        """A gateway whose reports turn ids into hexadecimal answers with decimal ones."""
        self._decimal = quirks["text_id"] == "hex"


class _SgipIds:
    """SGIP quotes the client's own sequence, whoever the recipient is."""

    __slots__ = ("_sequences",)

    def __init__(self, code: int) -> None:
        self._sequences = Sequences(code, Counter(), Clock())

    def take(self, event: Submitted, at: float) -> tuple[bytes, ...]:
        return (cast(bytes, event.ticket),) * len(event.to)

    def identity(self, at: float) -> bytes:
        return self._sequences.take(at)

    def bend(self, quirks: dict[str, Any]) -> None:
        """They are the client's own."""


def _cmpp_knows(session: GatewaySession, account: Account) -> None:
    cast(CmppGateway, session).rules = CmppRules(
        account.access_number, account.service_id, account.login
    )


def _sgip_knows(session: GatewaySession, account: Account) -> None:
    cast(SgipGateway, session).rules = SgipRules(
        account.access_number, account.service_id, account.corp_id, account.udhi
    )


def _smgp_knows(session: GatewaySession, account: Account) -> None:
    cast(SmgpGateway, session).rules = SmgpRules(account.access_number, account.service_id)


def _smpp_knows(session: GatewaySession, account: Account) -> None:
    cast(SmppGateway, session).rules = SmppRules(account.access_number, account.service_id)


def _smpp_agreed(udhi: int, report_id: str) -> dict[str, Any]:
    return {"text_id": report_id if report_id in ("hex", "decimal") else "same"}


def reporter(
    limits: Limits, clock: Clock, listener: Listener, quirks: dict[str, Any]
) -> GatewaySession:
    """SGIP: the carrier's side of a connection to the client's listener."""
    return SgipReporter(
        listener.login,
        listener.secret,
        limits,
        clock,
        bare_numbers=quirks["bare_numbers"],
        reserve=quirks["reserve"],
    )


DIALECTS: dict[str, Dialect] = {
    "cmpp": Dialect(
        throttle=8,
        refusal=10,
        bad_number=13,
        busy=5,
        full=56,
        stranger=2,
        gateway=CmppGateway,
        quirks=CmppQuirks,
        ids=lambda code: _MadeIds(CmppIds(2 * code), CmppIds(2 * code + 1)),
        knows=_cmpp_knows,
        most_status=0xFF,  # what a result of 2.0 holds
        undelivered=("UNDELIV", "EXPIRED", "MK:0001", "MI:0010"),
    ),
    "sgip": Dialect(
        throttle=88,
        refusal=5,
        bad_number=12,
        busy=11,
        full=3,
        stranger=1,
        gateway=SgipGateway,
        quirks=SgipQuirks,
        ids=lambda code: _SgipIds(10000 + code),
        knows=_sgip_knows,
        agreed=lambda udhi, report_id: {},
        keepalive=False,
        dials_back=True,
        most_status=0xFF,
        code=re.compile(r"[0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5]"),
        code_words="an error code from 0 to 255",
        delivered="0",
        undelivered=("25", "26", "29"),
        intermediate="0",
    ),
    "smgp": Dialect(
        throttle=1,
        refusal=46,
        bad_number=47,
        busy=1,
        full=2,
        stranger=21,
        gateway=SmgpGateway,
        quirks=SmgpQuirks,
        ids=lambda code: _MadeIds(_SmgpMaker(10000 + code), _SmgpMaker(20500 + code)),
        knows=_smgp_knows,
        code=re.compile(r"[!-.0-~]{1,7}(/[!-~]{1,3})?"),
        code_words="a status word of up to 7 characters, and at will / and an err of up to 3",
        undelivered=("UNDELIV/003", "EXPIRED/001", "REJECTD/702"),
    ),
    "smpp": Dialect(
        throttle=0x58,
        refusal=0x0A,
        bad_number=0x0B,
        busy=0x0D,
        full=0x05,
        stranger=0x0F,
        gateway=SmppGateway,
        quirks=SmppQuirks,
        ids=_SmppIds,
        knows=_smpp_knows,
        agreed=_smpp_agreed,
        names_refused=True,
        intermediate="ENROUTE",
    ),
}
