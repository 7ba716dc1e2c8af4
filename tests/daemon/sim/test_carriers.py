"""Accounts made into sessions: what the settings say, and what each protocol takes for "slower"."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.carriers import maker
from daemon.config import examine
from protocols.events import Rejected

from ..engine.desk import Terms, configured
from .conftest import Make
from .sp import CREDENTIALS, bound, clock, part

SAYS_SLOWER = {"cmpp": {8}, "sgip": {11, 33, 88}, "smgp": {1}, "smpp": {0x14, 0x58}}
"""Contract, section 5."""
OF_SGIP = """
node_id = 3025112345
corp_id = "12345"
listen = "127.0.0.1:8801"
listen_login = "smg"
listen_password = "secret"
listen_allow = ["127.0.0.0/8"]
"""


@pytest.mark.parametrize(
    ("protocol", "code"),
    [(protocol, code) for protocol, codes in SAYS_SLOWER.items() for code in sorted(codes)],
)
async def test_the_codes_of_each_protocol_that_say_slower_are_taken_so(
    make: Make, tmp_path: Path, protocol: str, code: int
) -> None:
    answers = await told(make, tmp_path, protocol, code)
    assert [(answer.status, answer.throttled) for answer in answers] == [(code, True)]


@pytest.mark.parametrize("protocol", SAYS_SLOWER)
async def test_other_codes_do_not_unless_the_account_says_so(
    make: Make, tmp_path: Path, protocol: str
) -> None:
    every = set.union(*SAYS_SLOWER.values())
    for code in (every | {9, 34, 75, 0x59}) - SAYS_SLOWER[protocol]:
        answers = await told(make, tmp_path, protocol, code)
        assert [(answer.status, answer.throttled) for answer in answers] == [(code, False)]
    answers = await told(make, tmp_path, protocol, 9, extra="throttle_codes = [9]")
    assert answers[0].throttled
    (own, *_) = SAYS_SLOWER[protocol]
    answers = await told(make, tmp_path, protocol, own, extra="throttle_codes = [9]")
    assert answers[0].throttled, "it adds to the protocol's own"


async def told(
    make: Make, tmp_path: Path, protocol: str, code: int, extra: str = ""
) -> list[Rejected]:
    """What becomes of a submit that is answered with `code`."""
    if protocol == "sgip":
        extra += OF_SGIP
    text = configured(Terms(protocol=protocol, extra=extra))
    login, secret = CREDENTIALS[protocol]
    text = text.replace('login = "901234"', f'login = "{login}"', 1)
    text = text.replace('password = "secret"', f'password = "{secret}"', 1)
    file = tmp_path / "c.toml"
    file.write_text(text.replace("{state}", str(tmp_path)))
    settings = examine(file, environ={}).config.accounts["a"]
    gateway, _ = await make(protocol, refuse=1.0, refuse_status=code)
    sp = await bound(maker(settings, clock)("trx"), gateway.port)
    sp.submit(part(1))
    return await sp.got(Rejected)
