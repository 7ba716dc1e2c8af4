"""The packed Submit against the declared one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.cmpp.account import CmppAccount
from protocols.cmpp.pdus import HEADER, Command
from protocols.cmpp.template import SubmitTemplate
from protocols.errors import EncodeError
from protocols.part import Part
from protocols.session import BEIJING

from ..parts import outcome, parts

ACCOUNT = CmppAccount("901234", "secret", service_id="XZ12123", udhi=64, msg_level=3)
TEMPLATES = [
    SubmitTemplate(ACCOUNT, BEIJING),
    SubmitTemplate(CmppAccount("9001", "x", version="2.0", msg_src="12345"), BEIJING),
]


def whole(body: bytes, sequence: int) -> bytes:
    return HEADER.pack(HEADER.size + len(body), Command.SUBMIT, sequence) + body


@given(template=st.sampled_from(TEMPLATES), part=parts, sequence=st.integers(1, 0x7FFFFFFF))
@example(
    template=TEMPLATES[0], part=Part("13800138000", "1069", b"\5\0\3\1\2\1x", udh=True), sequence=1
)
@example(template=TEMPLATES[1], part=Part("1" * 22, "1069", b"x"), sequence=1)
def test_it_writes_what_the_body_writes_and_refuses_what_it_refuses(
    template: SubmitTemplate, part: Part, sequence: int
) -> None:
    assert outcome(lambda: template.encode(part, sequence)) == outcome(
        lambda: whole(template.spell(part).encode(), sequence)
    )


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"service_id": "eleven char"}, "service_id"),
        ({"source_addr": "1234567"}, "msg_src"),
        ({"fee_code": "1234567"}, "fee_code"),
        ({"msg_level": 256}, "msg_level"),
    ],
)
def test_an_account_that_does_not_fit_is_refused_by_field(bad: dict[str, str], says: str) -> None:
    with pytest.raises(EncodeError, match=says):
        SubmitTemplate(CmppAccount(**{"source_addr": "901234", "secret": "s", **bad}), BEIJING)


def test_a_secret_is_never_shown() -> None:
    assert "secret" not in repr(ACCOUNT)
