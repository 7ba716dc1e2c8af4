"""A message becomes wire parts: signature, coding, cut, source number."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from daemon.config import Account
from daemon.jobs import Job as Fields
from daemon.model import Job, Message, PartState
from daemon.prepare import Preparing, Refusal, fits
from protocols.part import Coding

from .config.sample import examined


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return examined(tmp_path).config.accounts["mobile"]


def message(text: str = "hello", **fields: object) -> Message:
    job = Fields("j", ("13912345678",), text, **fields)  # type: ignore[arg-type]
    return Message(Job(1, job, 0.0, 0.0, ("t", 0, 0), 1), 0, "13912345678", "mobile", 1)


def prepared(m: Message, account: Account) -> list[bytes]:
    Preparing("mobile", account).prepare(m)
    return [part.wire.content for part in m.parts if part.wire is not None]


def test_a_short_text_is_one_part_without_a_header(account: Account) -> None:
    m = message(ext="42", expires_at=2e9)
    assert prepared(m, account) == [b"hello"]
    wire = m.parts[0].wire
    assert wire is not None
    assert (wire.to, wire.sender) == ("13912345678", "10657525777742")
    assert (wire.coding, wire.udh, wire.reference, m.reference) == (Coding.ASCII, False, 0, 0)
    assert wire.expires_at == 2e9
    assert wire.wants_report
    assert m.account == "mobile"


def test_a_long_text_has_one_reference_on_all_its_parts(account: Account) -> None:
    m = message("字" * 71)
    contents = prepared(m, account)
    assert [content[:6] for content in contents] == [
        bytes((5, 0, 3, m.reference, 2, number)) for number in (1, 2)
    ]
    assert b"".join(content[6:] for content in contents).decode("utf-16-be") == "字" * 71


@pytest.mark.parametrize(
    ("text", "sent"), [("hi", "【乐】hi"), ("【乐】hi", "【乐】hi"), ("hi【乐】", "【乐】hi【乐】")]
)
def test_the_signature_stands_in_front_once(account: Account, text: str, sent: str) -> None:
    [content] = prepared(message(text, signature="乐"), account)
    assert content.decode("utf-16-be") == sent


def test_a_signature_that_the_gateway_adds_is_not_sent_but_counted(account: Account) -> None:
    account = msgspec.structs.replace(account, signature_by="gateway")
    [content] = prepared(message("字" * 66, signature="乐乐"), account)
    assert content.decode("utf-16-be") == "字" * 66
    assert len(prepared(message("字" * 67, signature="乐乐"), account)) == 2


def test_a_source_number_of_more_than_20_digits_is_refused(account: Account) -> None:
    fits(message(ext="12345678"), account)
    with pytest.raises(Refusal, match="ext") as refused:
        fits(message(ext="123456789"), account)
    assert refused.value.code == "LOCAL:EXT"


def test_a_text_that_the_accounts_alphabet_lacks_is_refused(account: Account) -> None:
    account = msgspec.structs.replace(account, encoding="ascii")
    with pytest.raises(Refusal) as refused:
        prepared(message("字"), account)
    assert refused.value.code == "LOCAL:ENCODING"


def test_what_was_written_keeps_its_parts_and_its_reference(account: Account) -> None:
    m = message("字" * 130)
    prepared(m, account)
    before, parts = m.reference, m.parts
    m.submitted = 1.0
    m.parts[0].state = PartState.ANSWERED
    for part in m.parts:
        part.wire = None
    again = prepared(m, account)
    assert m.parts == parts
    assert m.reference == before
    assert all(content[3] == before for content in again)


def test_what_was_never_written_is_cut_anew_for_the_account_that_takes_it(
    account: Account,
) -> None:
    m = message("字" * 130)
    prepared(m, account)
    other = msgspec.structs.replace(account, protocol="smpp", long="payload")
    Preparing("other", other).prepare(m)
    assert m.account == "other"
    assert len(m.parts) == 1


def test_a_written_message_that_would_be_cut_otherwise_now_is_refused(account: Account) -> None:
    m = message("字" * 130)
    prepared(m, account)
    m.submitted = 1.0
    other = msgspec.structs.replace(account, protocol="smpp", long="payload")
    with pytest.raises(Refusal, match="1 parts now, 2 before"):
        Preparing("mobile", other).prepare(m)
