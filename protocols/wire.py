"""PDU bodies as annotated fields.

A class decorated with `@body` is a slotted dataclass whose annotations say how each field
travels, in wire order and in the specification's words.  Neighbouring fixed-size fields share
one precompiled Struct, so a body of two dozen fields costs two or three calls into C each way.

    @body
    class SubmitResp(Body):
        msg_id: U64 = 0
        result: U32 = 0

A kind of field is a small class with `put`, `get` and `show`; `show` gives the field as
`carrierd decode --json` prints it.  When versions differ, list the fields again: two short lists
are easier to check against two specifications than one list with conditions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform, get_type_hints

from .errors import DecodeError, EncodeError
from .part import width


class Fixed:
    """Always the same size: one Struct code and, for some kinds, a conversion each way."""

    converts = False
    hidden = False
    """Whether nobody may see the value, in whatever is printed."""

    def __init__(self, code: str) -> None:
        self.code = code

    def put(self, value: Any) -> Any:
        return value

    def get(self, raw: Any) -> Any:
        return raw

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield name, value


class Text(Fixed):
    """ASCII, padded on the right with NULs; may fill the field.

    Read up to the first NUL, since some carriers leave garbage after it; others pad with spaces,
    which are stripped as well.
    """

    converts = True

    def __init__(self, size: int) -> None:
        super().__init__(f"{size}s")
        self.size = size

    def put(self, value: str) -> bytes:
        raw = value.encode("latin-1")
        if len(raw) > self.size:  # Struct would cut it without a word
            raise ValueError(f"{value!r} is longer than {self.size} octets")
        return raw

    def get(self, raw: bytes) -> str:
        text = raw.partition(b"\0")[0]
        return text.decode("latin-1").rstrip(" ") if text else ""


class Secret(Text):
    """A password: never shown, not in errors either."""

    hidden = True

    def put(self, value: str) -> bytes:
        return unseen(super().put, value)

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield name, "***"


def unseen(put: Callable[[str], bytes], value: str) -> bytes:
    """What `put` makes of a password; its errors would quote it."""
    try:
        return put(value)
    except ValueError:
        reason = f"{len(value)} characters that do not fit the field, or are not in Latin-1"
    raise ValueError(reason)


class Octets(Fixed):
    """Exactly this many octets."""

    converts = True

    def __init__(self, size: int) -> None:
        super().__init__(f"{size}s")
        self.size = size

    def put(self, value: bytes) -> bytes:
        if len(value) != self.size:
            raise ValueError(f"{len(value)} octets, not {self.size}")
        return value

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield f"{name}_hex", value.hex()


class Sized:
    """A field whose size only the bytes tell.

    `get` raises IndexError when the bytes end too early and ValueError when they cannot be right;
    `status` is what the protocol's own table answers the latter with, 0 when it has nothing.
    """

    status = 0
    hidden = False

    def put(self, value: Any) -> bytes:
        raise NotImplementedError

    def get(self, buf: bytes, at: int) -> tuple[Any, int]:
        raise NotImplementedError

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield name, value


class Counted(Sized):
    """Octets behind an integer that says how many; `length_name` is that integer's name."""

    def __init__(self, code: str = "B", length_name: str | None = None) -> None:
        self.length = struct.Struct("!" + code)
        self.most = 256**self.length.size - 1
        self.length_name = length_name

    def put(self, value: bytes) -> bytes:
        if len(value) > self.most:
            raise ValueError(f"{len(value)} octets, at most {self.most} fit")
        return self.length.pack(len(value)) + value

    def get(self, buf: bytes, at: int) -> tuple[bytes, int]:
        start = at + self.length.size
        if start > len(buf):
            raise IndexError
        end = start + self.length.unpack_from(buf, at)[0]
        if end > len(buf):
            raise IndexError
        return buf[start:end], end

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        if self.length_name is not None:
            yield self.length_name, len(value)
        yield f"{name}_hex", value.hex()


class Texts(Sized):
    """One count octet, then that many texts of one width; `count_name` is the count's name."""

    def __init__(self, size: int, count_name: str | None = None, most: int = 255) -> None:
        self.text, self.size, self.most = Text(size), size, most
        self.count_name = count_name

    def put(self, value: tuple[str, ...]) -> bytes:
        if len(value) > self.most:
            raise ValueError(f"{len(value)} numbers, at most {self.most} are allowed")
        if length := width(value):
            padded = ("\0" * (self.size - length)).join((*value, ""))
        else:
            padded = "".join([v.ljust(self.size, "\0") for v in value])
        items = padded.encode("latin-1")
        if len(items) != self.size * len(value):
            for v in value:
                self.text.put(v)  # raises for the one that is too long
        return bytes((len(value),)) + items

    def get(self, buf: bytes, at: int) -> tuple[tuple[str, ...], int]:
        end = at + 1 + self.size * buf[at]
        if end > len(buf):
            raise IndexError
        starts = range(at + 1, end, self.size)
        return tuple([self.text.get(buf[i : i + self.size]) for i in starts]), end

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        if self.count_name is not None:
            yield self.count_name, len(value)
        yield name, list(value)


class CString(Sized):
    """A C-octet string of at most `size` octets, its NUL included (SMPP 3.4 section 3.1)."""

    def __init__(self, size: int) -> None:
        self.size = size

    def put(self, value: str) -> bytes:
        raw = value.encode("latin-1")
        if len(raw) >= self.size:
            raise ValueError(f"{value!r} is longer than {self.size - 1} octets")
        if 0 in raw:
            raise ValueError(f"{value!r} holds a NUL")
        return raw + b"\0"

    def get(self, buf: bytes, at: int) -> tuple[str, int]:
        end = buf.find(b"\0", at, at + self.size)
        if end < 0:
            if len(buf) < at + self.size:
                raise IndexError
            raise ValueError(f"no NUL within {self.size} octets")
        return buf[at:end].decode("latin-1"), end + 1


class Rest(Sized):
    """Whatever is left of the PDU, at most `size` octets of text; may be absent."""

    def __init__(self, size: int) -> None:
        self.text, self.size = Text(size), size

    def put(self, value: str) -> bytes:
        return self.text.put(value).ljust(self.size, b"\0")

    def get(self, buf: bytes, at: int) -> tuple[str, int]:
        end = min(len(buf), at + self.size)
        return self.text.get(buf[at:end]), end


Tlv = tuple[int, bytes]
"""Tag and value."""


class Tlvs(Sized):
    """Optional parameters to the end of the PDU: tag 2, length 2, value; any order, repeats kept.

    `names` maps known tags to their names.  One cut short at the end is dropped when `lenient`
    (SMGP gateways leave stray octets there), else refused.
    """

    def __init__(self, names: dict[int, str], *, lenient: bool = False) -> None:
        self.names, self.lenient = names, lenient
        self.head = struct.Struct("!HH")

    def put(self, value: tuple[Tlv, ...]) -> bytes:
        return b"".join([self.head.pack(tag, len(raw)) + raw for tag, raw in value])

    def get(self, buf: bytes, at: int) -> tuple[tuple[Tlv, ...], int]:
        if at >= len(buf):
            return (), at
        found: list[Tlv] = []
        while at < len(buf):
            if at + 4 > len(buf):
                if self.lenient:
                    return tuple(found), len(buf)
                raise IndexError
            tag, length = self.head.unpack_from(buf, at)
            if at + 4 + length > len(buf):
                if self.lenient:
                    return tuple(found), len(buf)
                raise IndexError
            found.append((tag, buf[at + 4 : at + 4 + length]))
            at += 4 + length
        return tuple(found), at

    def first(self, buf: bytes, at: int) -> dict[int, bytes]:
        """Values by tag, of repeated ones the first; an IndexError where one is cut short."""
        found: dict[int, bytes] = {}
        unpack, have = self.head.unpack_from, len(buf)
        while at < have:
            if at + 4 > have:
                raise IndexError
            tag, length = unpack(buf, at)
            at += 4
            end = at + length
            if end > have:
                raise IndexError
            if tag not in found:
                found[tag] = buf[at:end]
            at = end
        return found

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield (
            name,
            [
                {"tag": f"{tag:04x}", "name": self.names.get(tag), "value_hex": raw.hex()}
                for tag, raw in value
            ],
        )


U8 = Annotated[int, Fixed("B")]
U16 = Annotated[int, Fixed("H")]
U32 = Annotated[int, Fixed("I")]
U64 = Annotated[int, Fixed("Q")]


class _Run:
    """Neighbouring fixed fields behind one Struct."""

    def __init__(self, kinds: dict[str, Fixed]) -> None:
        self.struct = struct.Struct("!" + "".join(k.code for k in kinds.values()))
        self.names = list(kinds)
        self.sizes = [struct.calcsize("!" + k.code) for k in kinds.values()]
        self.values = attrgetter(*kinds)
        self.single = len(kinds) == 1
        self.convert = [(i, k.put, k.get) for i, k in enumerate(kinds.values()) if k.converts]

    def put(self, obj: object) -> bytes:
        values = [self.values(obj)] if self.single else list(self.values(obj))
        for i, put, _ in self.convert:
            try:
                values[i] = put(values[i])
            except ValueError as exc:
                raise ValueError(f"{self.names[i]}: {exc}") from exc
        try:
            return self.struct.pack(*values)
        except struct.error as exc:
            raise ValueError(f"{', '.join(self.names)}: {exc}") from exc

    def get(self, buf: bytes, at: int, out: list[Any]) -> int:
        values = list(self.struct.unpack_from(buf, at))
        for i, _, get in self.convert:
            values[i] = get(values[i])
        out += values
        return at + self.struct.size

    def spans(self, buf: bytes, at: int) -> Iterator[tuple[str, int, int]]:
        for name, size in zip(self.names, self.sizes, strict=True):
            yield name, at, at + size
            at += size

    def cut(self, have: int) -> tuple[str, int]:
        """The field that `have` octets are too few for, and where in the run it begins."""
        start = 0
        for name, size in zip(self.names, self.sizes, strict=True):
            if start + size > have:
                return name, start
            start += size
        return self.names[-1], start


class _One:
    """One field of a size that only the bytes tell."""

    def __init__(self, name: str, kind: Sized) -> None:
        self.name, self.value, self.kind = name, attrgetter(name), kind
        self.names = [name]

    def put(self, obj: object) -> bytes:
        try:
            return self.kind.put(self.value(obj))
        except (struct.error, ValueError) as exc:
            raise ValueError(f"{self.name}: {exc}") from exc

    def get(self, buf: bytes, at: int, out: list[Any]) -> int:
        try:
            value, at = self.kind.get(buf, at)
        except ValueError as exc:
            raise ValueError(f"{self.name}: {exc}") from exc
        out.append(value)
        return at

    def spans(self, buf: bytes, at: int) -> Iterator[tuple[str, int, int]]:
        yield self.name, at, self.kind.get(buf, at)[1]

    def cut(self, have: int) -> tuple[str, int]:
        return self.name, 0


class Body:
    """What `@body` works on.  Fields carry the specification's names, in its order."""

    __slots__ = ()
    _plan: ClassVar[list[_Run | _One]] = []
    _kinds: ClassVar[dict[str, Fixed | Sized]] = {}

    def encode(self) -> bytes:
        """The body's octets, without header.  Raises EncodeError naming the field."""
        try:
            return b"".join([step.put(self) for step in self._plan])
        except ValueError as exc:
            raise EncodeError(f"{type(self).__name__}.{exc}") from exc

    @classmethod
    def decode(cls, buf: bytes, at: int = 0) -> Self:
        """Reads a body that starts at `at`.

        Octets left over are ignored, as every one of the four specifications wants of a receiver
        that may be older than its peer.  Raises DecodeError with the offset in `buf`.
        """
        values: list[Any] = []
        step: _Run | _One | None = None
        try:
            for step in cls._plan:
                at = step.get(buf, at, values)
        except (struct.error, IndexError) as exc:
            assert step is not None  # without a step there is nothing to fail
            where, start = step.cut(len(buf) - at)
            at += start
            raise DecodeError(
                f"{cls.__name__}.{where}: cut short, {len(buf) - at} octets left at {at}", offset=at
            ) from exc
        except ValueError as exc:
            status = step.kind.status if isinstance(step, _One) else 0
            raise DecodeError(f"{cls.__name__}.{exc}", offset=at, status=status) from exc
        return cls(*values)

    @classmethod
    def spans(cls, buf: bytes, at: int = 0) -> Iterator[tuple[str, int, int]]:
        """Where each field begins and ends, in octets that `decode` has read."""
        for step in cls._plan:
            for name, start, end in step.spans(buf, at):
                yield name, start, end
                at = end

    def __repr__(self) -> str:
        said = [
            f"{name}={'***' if kind.hidden else repr(getattr(self, name))}"
            for name, kind in self._kinds.items()
        ]
        return f"{type(self).__name__}({', '.join(said)})"

    def show(self) -> dict[str, Any]:
        """The fields as `carrierd decode --json` prints them."""
        shown: dict[str, Any] = {}
        for name, kind in self._kinds.items():
            shown.update(kind.show(name, getattr(self, name)))
        return shown


B = TypeVar("B", bound=Body)


@dataclass_transform(kw_only_default=True)
def body(cls: type[B]) -> type[B]:
    """Makes a slotted dataclass and its wire plan out of annotated fields."""
    made = dataclass(slots=True, repr=False)(cls)
    hints = get_type_hints(made, include_extras=True)
    plan: list[_Run | _One] = []
    kinds: dict[str, Fixed | Sized] = {}
    run: dict[str, Fixed] = {}
    for f in fields(made):  # type: ignore[arg-type]  # dataclass() hides that it made one
        if f.default is MISSING and f.default_factory is MISSING:
            raise TypeError(f"{cls.__name__}.{f.name} needs a default")
        (kind,) = hints[f.name].__metadata__
        kinds[f.name] = kind
        if isinstance(kind, Fixed):
            run[f.name] = kind
            continue
        if run:
            plan.append(_Run(run))
            run = {}
        plan.append(_One(f.name, kind))
    if run:
        plan.append(_Run(run))
    made._plan, made._kinds = plan, kinds
    return made
