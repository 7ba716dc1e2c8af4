"""A value that must not be seen: a password on its way from the configuration to a login."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Shows as `***` wherever it is printed, logged or formatted; `reveal` is the one way out.

    Equality looks at the value, so that a reload can tell whether a password changed.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | None) -> None:
        """None stands for a secret that was given but deliberately not read."""
        self._value = value

    def reveal(self) -> str:
        """The value.  Raises LookupError when the configuration was loaded without secrets."""
        if self._value is None:
            raise LookupError("the configuration was loaded without its accounts' secrets")
        return self._value

    def peek(self) -> str | None:
        """The value, or None when it was not read; for checks of its length."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._value is None or other._value is None:
            return self._value is other._value
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")
