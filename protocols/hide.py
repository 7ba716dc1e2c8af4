"""Octets of a PDU with all that nobody may see hidden, and their length kept.

What comes out is a PDU still: the same fields in the same places.  Phone numbers have their middle
starred, texts are stars, passwords and what is computed of them is gone.  What is not known to be
harmless is hidden: a field that is missing here, an optional parameter, octets behind a text's
end or behind the last field, a PDU that cannot be read.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from .errors import DecodeError
from .explain import PROTOCOLS
from .text import header
from .wire import Body, Counted, CString, Fixed, Octets, Sized, Text, Texts, Tlvs

STAR = 0x2A
UCS2 = 8


class Visible(NamedTuple):
    """What of a protocol may be seen: `shown` and `numbers` are texts by field, the latter starred;
    `tags` the harmless optional parameters; `content` has the message's text, or the parameter
    `payload` has, and `coding` says how.
    """

    shown: frozenset[str]
    numbers: frozenset[str]
    content: str
    coding: str
    tags: frozenset[int] = frozenset()
    payload: int | None = None


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Neither a text, nor an address, nor anything of unknown meaning.
_SMPP_TAGS = (
    0x0005, 0x0006, 0x0007, 0x000D, 0x000E, 0x000F, 0x0017, 0x0019, 0x001E, 0x0030, 0x0201, 0x0204,
    0x0205, 0x020A, 0x020B, 0x020C, 0x020D, 0x020E, 0x020F, 0x0210, 0x0304, 0x0420, 0x0421, 0x0422,
    0x0423, 0x0425, 0x0426, 0x0427, 0x0428, 0x1201, 0x1203, 0x1204,
)  # fmt: skip

VISIBLE: dict[str, Visible] = {
    "cmpp": Visible(
        _names(
            "source_addr service_id msg_src fee_type fee_code valid_time at_time time"
            " stat submit_time done_time reserved"
        ),
        _names("fee_terminal_id src_id dest_terminal_id dest_id src_terminal_id"),
        "msg_content",
        "msg_fmt",
    ),
    "sgip": Visible(
        _names(
            "login_name corp_id service_type fee_type fee_value given_value expire_time"
            " schedule_time nodes"
        ),
        _names("sp_number charge_number user_number"),
        "message_content",
        "message_coding",
    ),
    "smgp": Visible(
        _names(
            "client_id service_id fee_type fee_code fixed_fee valid_time at_time recv_time time"
        ),
        _names("src_term_id charge_term_id dest_term_id"),
        "msg_content",
        "msg_format",
        frozenset((0x1, 0x2, 0x4, 0x5, 0x7, 0x9, 0xA, 0xB, 0xC, 0xD, 0xF, 0x11)),
    ),
    "smpp": Visible(
        _names(
            "system_id system_type service_type schedule_delivery_time validity_period"
            " message_id final_date"
        ),
        _names("source_addr destination_addr esme_addr"),
        "short_message",
        "data_coding",
        frozenset(_SMPP_TAGS),
        0x0424,
    ),
}
IDS = frozenset(("message_id",))
"""Digits of an id may look like a number's, and are none."""

_MOBILE = re.compile(rb"(?<![0-9])(?:\+?86|0086)?1[3-9][0-9]{9}(?![0-9])")
_TEXT = re.compile(rb"(?<![0-9A-Za-z])te?xt:", re.IGNORECASE)
_PAIR = re.compile(
    rb"(?<![^\s,;\0])(?:id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err):[ ]?"
    rb"[0-9A-Za-z-]{0,64}(?![^\s,;\0])",
    re.IGNORECASE,
)
_BETWEEN = b" \t\r\n,;\0"
_BINARY_ID = 13
"""SMGP: `id:` and ten octets, which may be any."""
_RECEIPT = 0x3C
"""Bits of SMPP's esm_class: a deliver_sm with one of them is about another message."""
_UDHI = 0x40
"""The bit of SMPP's esm_class that says that a user data header comes first."""


def hide(protocol: str, version: str, pdu: bytes, *, ours: str = "") -> bytes:
    """One whole PDU, as long as it was.  A number that begins with `ours` is shown: it is the
    account's own access number, which is no secret.
    """
    module = PROTOCOLS[protocol]
    size = module.HEADER.size
    out = bytearray(pdu)
    visible = VISIBLE.get(protocol)
    try:
        if visible is None or len(pdu) < size:
            raise DecodeError("nothing is known of it")
        name, body = module.decode_body(version, module.HEADER.unpack_from(pdu)[1], pdu)
    except DecodeError:
        _star(out, size, len(out))
        return bytes(out)
    hider = _Hider(visible, pdu, out, ours.encode("latin-1", "replace"))
    end = hider.fields(type(body), size)
    _star(out, end, len(out))
    content = next((s for s in type(body).spans(pdu, size) if s[0] == visible.content), None)
    if content is not None:
        hider.content(protocol, module, name, body, content[1], content[2])
    if hider.payload is not None:
        hider.text(body, *hider.payload)
    return bytes(out)


class _Hider:
    """One PDU and its copy."""

    def __init__(self, visible: Visible, pdu: bytes, out: bytearray, ours: bytes) -> None:
        self.visible = visible
        self.pdu = pdu
        self.out = out
        self.ours = ours
        self.payload: tuple[int, int] | None = None

    def fields(self, kind: type[Body], at: int) -> int:
        """All but the content; returns where the last field ends."""
        for name, start, end in kind.spans(self.pdu, at):
            at = end
            if name != self.visible.content:
                self._field(name, kind._kinds[name], start, end)
        return at

    def _field(self, name: str, kind: Fixed | Sized, start: int, end: int) -> None:
        numbers, shown = self.visible.numbers, self.visible.shown
        if kind.hidden:
            self._secret(kind, start, end)
        elif isinstance(kind, Octets):
            if name.startswith("authenticator"):
                self.out[start:end] = bytes(end - start)
        elif isinstance(kind, Tlvs):
            self._parameters(start, end)
        elif name == "dest_address":
            self._destinations(start, end)
        elif name == "unsuccess_sme":
            self._failures(start, end)
        elif isinstance(kind, Texts):
            width = kind.size
            for at in range(start + 1, end, width):
                self._text(name, at, at + width)
        elif isinstance(kind, Fixed) and not isinstance(kind, Text):
            pass  # a number that counts or names something of the protocol's own
        elif name in numbers or (name in shown and (isinstance(kind, Text | CString))):
            self._text(name, start, end)
        elif name not in shown:
            _star(self.out, start, end, keep_nul=True)

    def _secret(self, kind: Fixed | Sized, start: int, end: int) -> None:
        if isinstance(kind, Fixed):
            self.out[start:end] = b"***".ljust(end - start, b"\0")  # not even its length
        else:
            _star(self.out, start, end, keep_nul=True)

    def _text(self, name: str, start: int, end: int) -> None:
        """A text to its first NUL: what peers leave behind that is nobody's business."""
        text = self.pdu[start:end].partition(b"\0")[0]
        if name in self.visible.numbers:
            text = text if self.ours and text.startswith(self.ours) else _masked(text)
        elif name not in self.visible.shown:
            text = b"*" * len(text)
        elif name not in IDS:
            text = _MOBILE.sub(lambda found: _masked(found[0]), text)
        self.out[start:end] = text.ljust(end - start, b"\0")

    def _parameters(self, at: int, end: int) -> None:
        while at + 4 <= end:
            tag = int.from_bytes(self.pdu[at : at + 2], "big")
            start = at + 4
            at = start + int.from_bytes(self.pdu[at + 2 : start], "big")
            if tag == self.visible.payload:
                self.payload = start, min(at, end)
            elif tag not in self.visible.tags:
                _star(self.out, start, min(at, end))
        _star(self.out, min(at, end), end)

    def _destinations(self, start: int, end: int) -> None:
        at = start + 1
        for _ in range(self.pdu[start]):
            person = self.pdu[at] == 1
            at += 3 if person else 1
            stop = self.pdu.index(0, at)
            self._text("destination_addr" if person else "dl_name", at, stop)
            at = stop + 1

    def _failures(self, start: int, end: int) -> None:
        at = start + 1
        for _ in range(self.pdu[start]):
            stop = self.pdu.index(0, at + 2)
            self._text("destination_addr", at + 2, stop)
            at = stop + 5

    def content(
        self, protocol: str, module: Any, name: str, body: Body, start: int, end: int
    ) -> None:
        """The message's text, or the report that stands in its place."""
        kind = type(body)._kinds[self.visible.content]
        if isinstance(kind, Counted):
            start += kind.length.size
        held = self.pdu[start:end]
        if protocol == "cmpp" and name == "deliver" and body.registered_delivery == 1:  # type: ignore[attr-defined]
            self._report(module, held, start, end)
        elif protocol == "smgp" and name == "deliver" and body.is_report == 1:  # type: ignore[attr-defined]
            self._receipt(held, start, _BINARY_ID if held[:3].lower() == b"id:" else 0)
        elif protocol == "smpp" and name == "deliver_sm" and body.esm_class & _RECEIPT:  # type: ignore[attr-defined]
            behind = self._header(body, held, start)
            self._receipt(held[behind:], start + behind, 0)
        else:
            self.text(body, start, end)

    def text(self, body: Body, start: int, end: int) -> None:
        """What a subscriber reads or wrote."""
        wide = getattr(body, self.visible.coding, 0) == UCS2
        behind = start + self._header(body, self.pdu[start:end], start)
        _star(self.out, behind, end, wide=wide)

    def _header(self, body: Body, held: bytes, start: int) -> int:
        """Which part of what this is may be seen; of other elements only that they are there.

        Returns how many octets the user data header has.
        """
        announced = getattr(body, "tp_udhi", 0) or getattr(body, "esm_class", 0) & _UDHI
        head = header.read(held) if announced else header.guess(held)
        if head is None:
            return 0
        size = len(held) - len(head.rest)
        at = 1
        while at < size:
            kind, length = held[at : at + 2]
            if kind not in (header.CONCATENATED_8, header.CONCATENATED_16):
                _star(self.out, start + at + 2, start + at + 2 + length)
            at += 2 + length
        return size

    def _report(self, module: Any, held: bytes, start: int, end: int) -> None:
        try:
            kind = type(module.read_report(held))
        except DecodeError:
            _star(self.out, start, end)
            return
        inner = bytearray(held)
        _star(inner, _Hider(self.visible, held, inner, self.ours).fields(kind, 0), len(inner))
        self.out[start:end] = inner

    def _receipt(self, held: bytes, start: int, binary: int) -> None:
        """Words that say what became of a message, up to the beginning of its text."""
        spelled = _PAIR.match(held)
        begins = 0 if spelled is not None else binary
        text = _TEXT.search(held, begins)
        stop = len(held) if text is None else text.start()
        inner = bytearray(octet if octet in _BETWEEN else STAR for octet in held[:stop])
        inner[:begins] = held[:begins]
        for pair in _PAIR.finditer(held[begins:stop]):
            said = pair[0]
            if said[:2].lower() != b"id":
                said = _MOBILE.sub(lambda found: _masked(found[0]), said)
            inner[begins + pair.start() : begins + pair.end()] = said
        if text is not None:
            inner += text[0]
        self.out[start : start + len(held)] = inner + b"*" * (len(held) - len(inner))


def _masked(number: bytes) -> bytes:
    """As in logs: the first three and the last four stay."""
    if len(number) < 8:
        return b"*" * len(number)
    return number[:3] + b"*" * (len(number) - 7) + number[-4:]


def _star(
    out: bytearray, start: int, end: int, *, keep_nul: bool = False, wide: bool = False
) -> None:
    size = end - start
    if keep_nul:
        out[start:end] = bytes(STAR if octet else 0 for octet in out[start:end])
    elif wide:
        out[start:end] = (b"\0*" * (size // 2 + 1))[:size]
    else:
        out[start:end] = b"*" * size
