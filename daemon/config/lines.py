"""Which line of a TOML text each key stands on.

`tomllib` gives values without places, and an operator wants the line.  This reads only the
shape of a text that `tomllib` has already accepted (headers, keys, where a value ends) and
ignores what the values are.  A place is a path of keys and array indices:
`("accounts", "xz-mobile", "nodes", 1, "port")`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

Place = tuple[str | int, ...]

BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
# A value that is neither a string, an array nor an inline table: up to what may follow it.
_SCALAR = re.compile(r"[^,\]}#\r\n]*")
_STRINGS = (
    ('"""', re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL)),
    ("'''", re.compile(r"'''.*?'{3,5}", re.DOTALL)),
    ('"', re.compile(r'"(?:\\.|[^"\\\n])*"')),
    ("'", re.compile(r"'[^'\n]*'")),
)
_ESCAPE = re.compile(r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[btnfr"\\])')
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def spell(path: Place) -> str:
    """The path as an operator writes it: `accounts.xz-mobile.nodes[1].port`."""
    said = ""
    for step in path:
        if isinstance(step, int):
            said += f"[{step}]"
            continue
        if not BARE.fullmatch(step):
            step = (
                '"' + "".join(c if c.isprintable() and c not in '"\\' else "?" for c in step) + '"'
            )
        said += f".{step}" if said else step
    return said


class Lines:
    """The places of one text.

    A text that is not valid TOML gives some of its places and no error: refusing it is the
    parser's part.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._found: dict[Place, int] = {}
        self._arrays: dict[Place, int] = {}
        try:
            self._read()
        except (IndexError, RecursionError):
            # Not TOML after all, or nested past any sense: what was found so far stands.
            return

    def __contains__(self, path: Place) -> bool:
        """Whether this very key or table stands in the text."""
        return path in self._found

    def line(self, path: Place) -> int:
        """The line of this key; of the table it belongs in when it is missing; else 1."""
        while path:
            if path in self._found:
                return self._found[path]
            path = path[:-1]
        return 1

    def _read(self) -> None:
        text = self._text
        table: Place = ()
        at = self._between(0)
        while at < len(text):
            line_at = at
            if text[at] == "[":
                several = text.startswith("[[", at)
                keys, at = self._keys(at + (2 if several else 1))
                at += 2 if several else 1
                table = self._table(keys, several)
                self._found[table] = self._line_at(line_at)
                self._note(table[:-1], line_at)
            else:
                at = self._pair(at, table)
            at = self._between(at)
            if at == line_at:
                raise IndexError(at)

    def _table(self, keys: list[str], several: bool) -> Place:
        """The place a header opens: `[a.b]` below `[[a]]` belongs to the last `a`."""
        path: Place = ()
        for key in keys[:-1]:
            path = self._last((*path, key))
        path = (*path, keys[-1])
        if not several:
            return path
        self._arrays[path] = self._arrays.get(path, 0) + 1
        return self._last(path)

    def _last(self, path: Place) -> Place:
        return (*path, self._arrays[path] - 1) if path in self._arrays else path

    def _pair(self, at: int, table: Place) -> int:
        """Reads `a.b = value` from `at`; says where it ends."""
        keys, after = self._keys(at)
        path = (*table, *keys)
        self._note(path, at)
        if self._text[after] != "=":
            raise IndexError(after)
        return self._value(_past_blanks(self._text, after + 1), path)

    def _value(self, at: int, path: Place) -> int:
        text = self._text
        first = text[at]
        if first == "[":
            return self._array(at + 1, path)
        if first == "{":
            return self._inline(at + 1, path)
        for quote, whole in _STRINGS:
            if text.startswith(quote, at):
                return _end(whole.match(text, at))
        return _end(_SCALAR.match(text, at))

    def _array(self, at: int, path: Place) -> int:
        index = 0
        at = self._between(at)
        while self._text[at] != "]":
            place = (*path, index)
            self._note(place, at)
            at = self._comma(self._value(at, place), "]")
            index += 1
        return at + 1

    def _inline(self, at: int, path: Place) -> int:
        at = self._between(at)
        while self._text[at] != "}":
            at = self._comma(self._pair(at, path), "}")
        return at + 1

    def _comma(self, at: int, close: str) -> int:
        """Past the comma behind an element, or at the bracket that closes the list."""
        at = self._between(at)
        if self._text[at] == ",":
            return self._between(at + 1)
        if self._text[at] != close:
            raise IndexError(at)
        return at

    def _keys(self, at: int) -> tuple[list[str], int]:
        """The keys of `a."b c".d` and where the blanks behind them end."""
        keys: list[str] = []
        while True:
            at = _past_blanks(self._text, at)
            if self._text[at] in "\"'":
                whole = next(w for q, w in _STRINGS[2:] if self._text[at] == q).match(
                    self._text, at
                )
                end = _end(whole)
                raw = self._text[at + 1 : end - 1]
                keys.append(_ESCAPE.sub(_unescape, raw) if self._text[at] == '"' else raw)
            else:
                end = _end(BARE.match(self._text, at))
                keys.append(self._text[at:end])
            at = _past_blanks(self._text, end)
            if self._text[at] != ".":
                return keys, at
            at += 1

    def _between(self, at: int) -> int:
        return _end(_BETWEEN.match(self._text, at))

    def _note(self, path: Place, at: int) -> None:
        """Also for the tables it makes on the way, unless a header names them."""
        line = self._line_at(at)
        for prefix in _prefixes(path):
            self._found.setdefault(prefix, line)

    def _line_at(self, at: int) -> int:
        return bisect_right(self._starts, at)


def _prefixes(path: Place) -> Iterator[Place]:
    for length in range(len(path), 0, -1):
        yield path[:length]


def _past_blanks(text: str, at: int) -> int:
    return _end(_BLANK.match(text, at))


def _end(found: re.Match[str] | None) -> int:
    if found is None:
        raise IndexError("not TOML")
    return found.end()


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    return _ESCAPED[code] if code in _ESCAPED else chr(int(code[1:], 16))
