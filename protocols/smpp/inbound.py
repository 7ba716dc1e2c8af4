"""deliver_sm and data_sm as an ESME gets them: a receipt, or a subscriber's message."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from .. import ids
from ..errors import DecodeError
from ..events import Fate, Received, Reported
from . import pdus, receipts, status, tlvs

# esm_class of what a message centre delivers (section 5.2.12).
KIND: Final = 0x3C
RECEIPT: Final = 0x04
INTERMEDIATE: Final = 0x20
UDHI: Final = 0x40

# The mandatory parameters of pdus.SubmitSm up to sm_length; what it does not match is read by the
# declaration, which says what is wrong.  One call instead of eighteen fields.
_DELIVER: Final = re.compile(
    rb"[^\0]{0,5}\0..([^\0]{0,20})\0..([^\0]{0,20})\0(.)..[^\0]{0,16}\0[^\0]{0,16}\0..(.).(.)",
    re.DOTALL,
)
# The same of a receipt, and its text as nearly all write it; ends where the text may go on.
_RECEIPT: Final = re.compile(
    rb"[^\0]{0,5}\0..([^\0]{0,20})\0..[^\0]{0,20}\0\x04..[^\0]{0,16}\0[^\0]{0,16}\0....(.)"
    rb"id:([0-9A-Za-z-]{1,64}) sub:\d+ dlvrd:\d+ submit date:\d+ done date:\d+"
    rb" stat:([A-Z]+) err:",
    re.DOTALL,
)
_WORDS: Final = {b"DELIVRD": ("DELIVRD", Fate.DELIVERED), b"UNDELIV": ("UNDELIV", Fate.FAILED)}
"""What nearly all receipts say."""
_PARAMETERS: Final = pdus.OptionalParameters()
_DELIVER_SM: Final = 0x00000005  # as in pdus, but known when this is compiled


class _Last:
    """What the last receipt said that was read by `_RECEIPT`: those for a list follow one another,
    and have all in common but their sequence number and their source_addr.
    """

    __slots__ = ("ahead", "behind", "code", "ends", "exact", "fate", "form", "keys", "starts")

    def __init__(self) -> None:
        self.starts = self.ends = 0
        """Where its source_addr did."""
        self.ahead = self.behind = b""
        """The rest of its body."""
        self.form: ids.Form = "auto"
        self.keys: tuple[bytes, ...] = ()
        self.exact = 0
        self.fate, self.code = Fate.DELIVERED, ""


_LAST: Final = _Last()


def read(command: int, pdu: bytes, form: ids.Form) -> Reported | Received:
    """The event of a whole deliver_sm or data_sm; raises DecodeError."""
    if command != _DELIVER_SM:
        return _read(command, pdu, form)
    last = _LAST
    source = pdu[last.starts : last.ends]
    if (
        pdu[last.ends :] != last.behind
        or pdu[16 : last.starts] != last.ahead
        or 0 in source  # a shorter one
        or form != last.form
    ):
        usual = _RECEIPT.match(pdu, 16)
        if usual is None or not _learn(usual, pdu, form):
            return _read(command, pdu, form)
        source = pdu[last.starts : last.ends]
    to, receipt = source.decode("latin-1"), _answer(command, pdu)
    return Reported(last.keys, last.exact, last.fate, last.code, to, receipt)


def _learn(usual: re.Match[bytes], pdu: bytes, form: ids.Form) -> bool:
    """Whether this receipt says what nearly all do; it is the last one then."""
    size, said, stat = usual.groups()[1:]
    end = usual.start(3) - 3 + size[0]
    known = _WORDS.get(stat)
    if known is None or not usual.end() <= end <= len(pdu):
        return False
    keys, exact = _keys(_named(pdu, end), said, form)
    last = _LAST
    last.starts, last.ends = usual.span(1)
    last.ahead, last.behind = pdu[16 : last.starts], pdu[last.ends :]
    last.form, last.keys, last.exact = form, keys, exact
    last.code, last.fate = known
    return True


def _answer(command: int, pdu: bytes) -> bytes:
    """That says yes, without a message_id."""
    sequence: bytes = pdu[12:16]
    if command == _DELIVER_SM:
        return b"\0\0\0\x11\x80\0\0\5\0\0\0\0%b\0" % sequence
    return b"\0\0\0\x11\x80\0\1\3\0\0\0\0%b\0" % sequence


def _named(pdu: bytes, at: int) -> bytes:
    """The receipted_message_id among the optional parameters that begin there, if it is there."""
    have, start = len(pdu), at
    named: bytes | None = None
    while at < have:
        if at + 4 > have:
            raise _cut_short(start)
        after = at + 4 + (pdu[at + 2] << 8 | pdu[at + 3])
        if after > have:
            raise _cut_short(start)
        if named is None and pdu[at] << 8 | pdu[at + 1] == tlvs.RECEIPTED_MESSAGE_ID:
            named = pdu[at + 4 : after]
        at = after
    return named.partition(b"\0")[0] if named is not None else b""


def _cut_short(at: int) -> DecodeError:
    return DecodeError(
        "deliver_sm.tlv: the last optional parameter is cut short",
        offset=at,
        status=_PARAMETERS.status,
    )


def _read(command: int, pdu: bytes, form: ids.Form) -> Reported | Received:
    parameters: dict[int, bytes] = {}
    usual = _DELIVER.match(pdu, 16) if command == pdus.DELIVER_SM else None
    if usual is not None and usual.end() + usual[5][0] <= len(pdu):
        source, dest = usual[1].decode("latin-1"), usual[2].decode("latin-1")
        esm_class, coding = usual[3][0], usual[4][0]
        at = usual.end()
        text = pdu[at : (end := at + usual[5][0])]
        if end < len(pdu):
            try:
                parameters = _PARAMETERS.first(pdu, end)
            except IndexError as exc:
                raise _cut_short(end) from exc
    else:
        kind = pdus.SubmitSm if command == pdus.DELIVER_SM else pdus.DataSm
        body = kind.decode(pdu, 16)
        source, dest = body.source_addr, body.destination_addr
        esm_class, coding = body.esm_class, body.data_coding
        parameters = dict(reversed(body.tlv))  # of repeated ones the first counts
        text = body.short_message if isinstance(body, pdus.SubmitSm) else b""
    text = text or parameters.get(tlvs.MESSAGE_PAYLOAD, b"")
    receipt = _answer(command, pdu)
    what = esm_class & KIND
    if what in (RECEIPT, INTERMEDIATE) or tlvs.RECEIPTED_MESSAGE_ID in parameters:
        if esm_class & UDHI and text:
            text = text[text[0] + 1 :]
        return _report(text, parameters, what != INTERMEDIATE, form, source, receipt)
    return Received(
        sender=source,
        to=dest,
        content=text,
        coding=coding,
        udh=esm_class & UDHI != 0,
        receipt=receipt,
        # Nothing on the wire names a delivered message: the same content is the same message.
        identity=blake2b(pdu[16:], digest_size=8).digest(),
        sar=sar(parameters),
    )


def _report(
    text: bytes,
    parameters: dict[int, bytes],
    final: bool,
    form: ids.Form,
    source: str,
    receipt: bytes,
) -> Reported:
    said = receipts.parse(text)
    state = parameters.get(tlvs.MESSAGE_STATE, b"")
    word = said.stat
    if not word and state and state[0] < len(receipts.WORDS):
        word = receipts.WORDS[state[0]]
    if not word:
        raise DecodeError(
            "receipt: neither stat in its text nor message_state says what became of the message",
            offset=16,
            status=status.RX_P_APPN,
        )
    named = parameters.get(tlvs.RECEIPTED_MESSAGE_ID, b"").partition(b"\0")[0]
    keys, exact = _keys(named, said.id, form)
    return Reported(keys, exact, receipts.fate(word, final=final), word, source, receipt)


def _keys(named: bytes, said: bytes, form: ids.Form) -> tuple[tuple[bytes, ...], int]:
    """Keys from the receipted_message_id and from the text, the parameter's first.

    The parameter is exact.  Beside it the text's id is a guess about spelling, and what it looks
    like may well be another part's id, so it needs the recipient as a witness.
    """
    if not named:
        return ids.smpp_keys(said, form) if said else ((), 0)
    if form == "auto" and (not said or said == named):
        return ids.smpp_keys(named, form)
    keys = [ids.key("smpp", named)]
    others = ids.smpp_keys(said, form)[0] if said else ()
    if form == "auto":
        others += ids.smpp_keys(named, form)[0]
    keys += [key for key in dict.fromkeys(others) if key != keys[0]]
    return tuple(keys), 1


def sar(parameters: dict[int, bytes]) -> tuple[int, int, int] | None:
    reference = parameters.get(tlvs.SAR_MSG_REF_NUM)
    total = parameters.get(tlvs.SAR_TOTAL_SEGMENTS)
    number = parameters.get(tlvs.SAR_SEGMENT_SEQNUM)
    if not reference or not total or not number:
        return None
    found = tuple(int.from_bytes(raw, "big") for raw in (reference, total, number))
    # Section 5.3.2.23: values that make no sense are to be ignored.
    return (found[0], found[1], found[2]) if 1 <= found[2] <= found[1] <= 255 else None
