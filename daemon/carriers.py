"""From an account's settings to a session: the only module that names the four protocols."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from protocols.cmpp.account import CmppAccount
from protocols.cmpp.session import CmppSession
from protocols.cmpp.status import THROTTLE_CODES as CMPP_THROTTLE
from protocols.session import Clock, Limits, Session
from protocols.sgip.account import SgipAccount
from protocols.sgip.frames import Counter
from protocols.sgip.listener import SgipListener
from protocols.sgip.session import SgipSession
from protocols.sgip.status import THROTTLED as SGIP_THROTTLE
from protocols.smgp.account import SmgpAccount
from protocols.smgp.session import SmgpSession
from protocols.smgp.status import THROTTLE_CODES as SMGP_THROTTLE
from protocols.smpp.account import SmppAccount
from protocols.smpp.session import SmppSession
from protocols.smpp.status import THROTTLED as SMPP_THROTTLE

from .config import Account

Make = Callable[[str], Session]
"""A new session for a connection; the argument is its mode: trx, tx or rx."""


def limits(settings: Account) -> Limits:
    return Limits(
        window=settings.window,
        answer_within=settings.answer_within,
        bind_within=settings.answer_within,
        keepalive=settings.keepalive,
    )


def maker(settings: Account, clock: Callable[[], Clock]) -> Make:
    """How to make sessions for an account; all of them share what must be unique in it."""
    counter = Counter(random.getrandbits(32))

    def make(mode: str) -> Session:
        return _session(settings, clock(), mode, counter)

    return make


def listener(
    accounts: Mapping[str, tuple[str, object]], settings: Account, clock: Callable[[], Clock]
) -> Callable[[Iterable[str]], Session]:
    """Sessions for a carrier's connections to us, each for these of the login names; `accounts`:
    password and owner by login name.
    """

    def make(names: Iterable[str]) -> Session:
        logins = {name: accounts[name] for name in names if name in accounts}
        node = settings.node_id or 0
        return SgipListener(logins, limits(settings), clock(), node=node, counter=Counter())

    return make


def _session(settings: Account, clock: Clock, mode: str, counter: Counter) -> Session:
    first = random.randint(1, 0x7FFFFFFF)
    extra = frozenset(settings.throttle_codes)
    secret = settings.password.reveal()
    if settings.protocol == "cmpp":
        return CmppSession(
            CmppAccount(
                source_addr=settings.login,
                secret=secret,
                version=settings.version,
                service_id=settings.service_id,
                udhi=settings.udhi,
                md5_pad=settings.md5_pad,
                throttle_codes=CMPP_THROTTLE | extra,
            ),
            limits(settings),
            clock,
            first_sequence=first,
        )
    if settings.protocol == "smgp":
        return SmgpSession(
            SmgpAccount(
                client_id=settings.login,
                secret=secret,
                mode=mode,  # type: ignore[arg-type]
                service_id=settings.service_id,
                udhi=settings.udhi,
                md5_pad=settings.md5_pad,
                throttle_codes=SMGP_THROTTLE | extra,
            ),
            limits(settings),
            clock,
            first_sequence=first,
        )
    if settings.protocol == "sgip":
        assert settings.node_id is not None, "the configuration demands it of SGIP"
        assert settings.corp_id is not None, "the configuration demands it of SGIP"
        return SgipSession(
            SgipAccount(
                login=settings.login,
                secret=secret,
                node_id=settings.node_id,
                corp_id=settings.corp_id,
                service_id=settings.service_id,
                udhi=settings.udhi,
                throttle_codes=SGIP_THROTTLE | extra,
            ),
            limits(settings),
            clock,
            counter=counter,
        )
    return SmppSession(
        SmppAccount(
            login=settings.login,
            secret=secret,
            system_type=settings.system_type,
            service_id=settings.service_id,
            mode=mode,  # type: ignore[arg-type]
            report_id=settings.report_id,
            throttle_codes=SMPP_THROTTLE | extra,
        ),
        limits(settings),
        clock,
        first_sequence=first,
    )
