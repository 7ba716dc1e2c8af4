"""The packed Submit against the declared one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.errors import EncodeError
from protocols.part import Part
from protocols.session import BEIJING
from protocols.smgp.account import SmgpAccount
from protocols.smgp.pdus import HEADER, Request
from protocols.smgp.template import SubmitTemplate

from ..parts import outcome, parts

TEMPLATES = [
    SubmitTemplate(SmgpAccount("333", "secret", service_id="XZ12123", udhi=64), BEIJING),
    SubmitTemplate(SmgpAccount("333", "x", msg_src="333", m_service_id="P1"), BEIJING),
]


def whole(body: bytes, sequence: int) -> bytes:
    return HEADER.pack(HEADER.size + len(body), Request.SUBMIT, sequence) + body


@given(template=st.sampled_from(TEMPLATES), part=parts, sequence=st.integers(1, 0x7FFFFFFF))
@example(TEMPLATES[1], Part("13300133000", "1065", b"\5\0\3\1\2\1x", udh=True, total=2), 1)
@example(TEMPLATES[0], Part("1" * 22, "1065", b"x"), 1)
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
        ({"msg_src": "123456789"}, "msg_src"),
        ({"m_service_id": "x" * 22}, "m_service_id"),
        ({"m_service_id": "产品"}, "m_service_id"),
        ({"fixed_fee": "1234567"}, "fixed_fee"),
        ({"priority": 256}, "priority"),
    ],
)
def test_an_account_that_does_not_fit_is_refused_by_field(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(EncodeError, match=says):
        SubmitTemplate(SmgpAccount(**{"client_id": "333", "secret": "s", **bad}), BEIJING)


def test_a_secret_is_never_shown() -> None:
    assert "secret" not in repr(TEMPLATES[0].account)
