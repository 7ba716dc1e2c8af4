"""Breaking the code on purpose: a line of a function, or a constant, for as long as a trial lasts.

A mutation finds its line by its text.  When that is gone, it is an error and no pass: somebody has
to say what would break the promise now.
"""

from __future__ import annotations

import importlib
import inspect
import textwrap
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import pytest


@dataclass(frozen=True)
class Edit:
    """`where` is `module:function` or `module:Class.method`; `before` stands there exactly once."""

    where: str
    before: str
    after: str

    def apply(self, patch: pytest.MonkeyPatch) -> None:
        owner, name = _find(self.where)
        found: Any = inspect.getattr_static(owner, name)
        function: Any = inspect.unwrap(getattr(found, "fget", found))
        # Its code and not its name, so that whoever imported it by name gets it too.
        patch.setattr(function, "__code__", self._code(function))

    def _code(self, function: FunctionType) -> CodeType:
        lines, first = inspect.getsourcelines(function)
        source = textwrap.dedent("".join(lines))
        count = source.count(self.before)
        assert count == 1, f"{self.where} has {self.before!r} {count} times: choose another line"
        # Under the lines that are above it in its file, for tracebacks.
        source = "\n" * (first - 1) + source.replace(self.before, self.after)
        # With this module's own `annotations`, as everywhere here.
        whole = compile(source, inspect.getfile(function), "exec")
        (code,) = [part for part in whole.co_consts if isinstance(part, CodeType)]
        return code


@dataclass(frozen=True)
class Value:
    """`where` is `module:NAME`; it is `value` instead of what it is."""

    where: str
    value: Any

    def apply(self, patch: pytest.MonkeyPatch) -> None:
        owner, name = _find(self.where)
        assert getattr(owner, name) != self.value, f"{self.where} is {self.value!r} anyway"
        patch.setattr(owner, name, self.value)


@dataclass(frozen=True)
class Mutation:
    """`breaks` is a promise, beginning with its section of the contract; `tests` must all fail.

    A second change is there where two places keep the same promise.
    """

    breaks: str
    changes: tuple[Edit | Value, ...]
    tests: tuple[str, ...]


def _find(where: str) -> tuple[Any, str]:
    module, _, path = where.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    return owner, name
