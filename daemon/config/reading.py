"""From the parsed file to typed values, collecting every fault on the way.

A library that converts the whole stops at the first fault, so each key is converted alone.
What is sound is kept even beside faults, so that `rules` can look at it too.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from . import lines
from .hints import PARSERS, allowed, bare, is_section, kind_of, lengths, shown, without_none
from .secret import Secret

LONGEST_SECRET = 4096
SECRET_FORMS = ("", "_file", "_env")
CREDENTIALS = "${CREDENTIALS_DIRECTORY}/"
"""What the path of a secret begins with that the service manager hands over."""
_NO_CREDENTIALS = (
    "CREDENTIALS_DIRECTORY is not set, allowed is a path, or a credential where the service "
    "manager hands one over (LoadCredential= of the unit)"
)
_ONE_LINE = "allowed is a file with the secret on one line that this user may read"


class Fault(NamedTuple):
    """One thing that is wrong: where, and what is wrong and what is allowed."""

    line: int
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.line}: {self.key}: {self.text}"


class Table:
    """The sound values of one section, defaults included; a faulty key reads as None."""

    __slots__ = ("given", "hints", "kind", "path", "values")

    def __init__(self, kind: type[Struct], path: lines.Place, given: frozenset[str]) -> None:
        self.kind, self.path = kind, path
        self.given = given
        """The keys that stand in the file."""
        self.hints: dict[str, Any] = get_type_hints(kind, include_extras=True)
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """The value, or None when it is absent or faulty."""
        return self.values.get(key)

    def allowed(self, key: str) -> str:
        """What the schema allows for a key, for people."""
        if bare(without_none(self.hints[key])[0]) is Secret:
            return _one_of(key)
        return allowed(self.hints[key])

    def keys(self) -> Iterator[str]:
        """Every key the section may have, as spelled in a file."""
        for key, hint in self.hints.items():
            if bare(without_none(hint)[0]) is Secret:
                yield from (key + form for form in SECRET_FORMS)
            else:
                yield key

    def build(self) -> Any:
        """The section itself.  Only for a file without faults."""
        return self.kind(**{key: _built(value) for key, value in self.values.items()})


def _built(value: Any) -> Any:
    if isinstance(value, Table):
        return value.build()
    if isinstance(value, dict):
        return {key: _built(one) for key, one in value.items()}
    if type(value) is tuple:  # an Address stays one
        return tuple(_built(one) for one in value)
    return value


class Reader:
    """Reads one file's values; faults and warnings gather in it."""

    def __init__(
        self, where: lines.Lines, folder: Path, environ: Mapping[str, str], *, secrets: bool
    ) -> None:
        """`folder`: what relative paths are relative to.  `secrets` False leaves the
        accounts' passwords unread."""
        self._where = where
        self._folder = folder
        self._environ = environ
        self._secrets = secrets
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.written: list[lines.Place] = []
        """Secrets that stand in the file itself."""

    def fault(self, path: lines.Place, text: str) -> None:
        self.faults.append(Fault(self._where.line(path), lines.spell(path), text))

    def warn(self, path: lines.Place, text: str) -> None:
        self.warnings.append(Fault(self._where.line(path), lines.spell(path), text))

    def table(self, kind: type[Struct], raw: object, path: lines.Place) -> Table | None:
        """The section at this place; None when it is not even a table."""
        given = frozenset(raw) if isinstance(raw, dict) else frozenset[str]()
        table = Table(kind, path, given)
        if not isinstance(raw, dict):
            self.fault(path, f"is {shown(raw)}, allowed is a table of {', '.join(table.keys())}")
            return None
        known = list(table.keys())
        for key in raw:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                self.fault((*path, key), f"is unknown{hint}, allowed are {', '.join(known)}")
        for field in msgspec.structs.fields(kind):
            hint, optional = without_none(table.hints[field.name])
            place = (*path, field.name)
            value: object
            if bare(hint) is Secret:
                value = self._secret(raw, path, field.name, optional=optional)
            elif field.name in raw:
                value = self._value(hint, raw[field.name], place)
            elif is_section(hint):
                value = self.table(hint, {}, place)
            elif field.default is not NODEFAULT:
                value = field.default
            elif field.default_factory is not NODEFAULT:
                value = field.default_factory()
            else:
                value = None
                self.fault(place, f"is missing, allowed is {allowed(hint)}")
            table.values[field.name] = value
        return table

    def _value(self, hint: Any, raw: object, path: lines.Place) -> object:
        """The typed value, or None after a fault."""
        kind = bare(hint)
        if is_section(kind):
            return self.table(kind, raw, path)
        if get_origin(kind) is tuple:
            return self._list(hint, raw, path)
        if get_origin(kind) is Mapping:
            item = get_args(kind)[1]
            if is_section(item):
                return self._tables(item, raw, path)
            return self._by_name(hint, raw, path)
        with suppress(ValueError):  # msgspec's ValidationError is one
            if kind not in PARSERS:
                return msgspec.convert(raw, hint)
            if isinstance(raw, str):
                value = PARSERS[kind].parse(raw)
                return self._folder / value if isinstance(value, Path) else value
        self.fault(path, f"is {shown(raw)}, allowed is {allowed(hint)}")
        return None

    def _list(self, hint: Any, raw: object, path: lines.Place) -> tuple[object, ...] | None:
        """Plain elements keep their index: a faulty one is None there."""
        least, most = lengths(hint)
        if not isinstance(raw, list) or not least <= len(raw) <= most:
            wrong = f"has {len(raw)} elements" if isinstance(raw, list) else f"is {shown(raw)}"
            self.fault(path, f"{wrong}, allowed is {allowed(hint)}")
            return None
        item = get_args(bare(hint))[0]
        values = [self._value(item, one, (*path, at)) for at, one in enumerate(raw)]
        if is_section(item):  # each knows its place
            return tuple(value for value in values if value is not None)
        return tuple(values)

    def _tables(
        self, kind: type[Struct], raw: object, path: lines.Place
    ) -> dict[str, Table] | None:
        if not isinstance(raw, dict):
            name = lines.spell((*path, "NAME"))
            self.fault(path, f"is {shown(raw)}, allowed are tables [{name}]")
            return None
        read = ((name, self.table(kind, one, (*path, name))) for name, one in raw.items())
        return {name: table for name, table in read if table is not None}

    def _by_name(self, hint: Any, raw: object, path: lines.Place) -> dict[str, object] | None:
        """Plain values under names of the file's own choice: a faulty one is None there."""
        if not isinstance(raw, dict):
            self.fault(path, f"is {shown(raw)}, allowed is {allowed(hint)}")
            return None
        item = get_args(bare(hint))[1]
        return {name: self._value(item, one, (*path, name)) for name, one in raw.items()}

    def _secret(
        self, raw: dict[str, object], path: lines.Place, key: str, *, optional: bool
    ) -> Secret | None:
        given = [key + form for form in SECRET_FORMS if key + form in raw]
        if not given:
            if not optional:
                self.fault((*path, key), f"is missing, allowed is {_one_of(key)}")
            return None
        for extra in given[1:]:
            self.fault((*path, extra), f"is given beside {given[0]}, allowed is {_one_of(key)}")
        form, place = given[0], (*path, given[0])
        value = raw[form]
        if not isinstance(value, str):
            self.fault(place, f"is {kind_of(value)}, allowed is a string")
            return None
        if not self._secrets and path[:1] == ("accounts",):
            return Secret(None)
        found: str | None = value
        if form.endswith("_file"):
            found = self._from_file(value, place)
        elif form.endswith("_env"):
            found = self._environ.get(value)
            if found is None:
                self.fault(place, "names a variable that is not set, allowed is one that is")
        else:
            self.written.append(place)
        if found is None:
            return None
        if not found or not found.isprintable():
            wrong = "is empty" if not found else "has a line break or control character"
            self.fault(place, f"{wrong}, allowed is one line of printable characters")
            return None
        return Secret(found)

    def _from_file(self, value: str, place: lines.Place) -> str | None:
        guarded = value.startswith(CREDENTIALS)
        if guarded:
            directory = self._environ.get("CREDENTIALS_DIRECTORY")
            if not directory:
                self.fault(place, f"names a credential, but {_NO_CREDENTIALS}")
                return None
            file = Path(directory) / value.removeprefix(CREDENTIALS)
        else:
            file = self._folder / value
        try:
            with file.open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                content = stream.read(LONGEST_SECRET + 1)
            text = content.decode()
        except OSError as exc:
            self.fault(place, f"cannot be read ({exc.strerror}: {file}), {_ONE_LINE}")
            return None
        except ValueError:  # a NUL in the path, or content that is not UTF-8
            self.fault(place, f"is no text file ({shown(str(file))}), {_ONE_LINE}")
            return None
        if len(content) > LONGEST_SECRET:
            too_long = f"is longer than {LONGEST_SECRET} octets ({file})"
            self.fault(place, f"{too_long}, {_ONE_LINE}")
            return None
        # A credential's group bits are the mask of an access list that names this user alone.
        if mode & (stat.S_IROTH if guarded else stat.S_IRGRP | stat.S_IROTH):
            self.warn(place, f"{file} can be read by others than its owner, chmod 600 closes it")
        return text.removesuffix("\n").removesuffix("\r")


def _one_of(key: str) -> str:
    return f"exactly one of {', '.join(key + form for form in SECRET_FORMS)}"
