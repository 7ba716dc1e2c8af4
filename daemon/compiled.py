"""Whether what messages go through is compiled here; pyproject.toml has the list."""

from __future__ import annotations

from importlib.util import find_spec

HOT = f"{__package__}.engine"
"""One of them; they are compiled together or not at all."""


def build() -> str:
    """In words for people.  Imports nothing."""
    spec = find_spec(HOT)
    assert spec is not None, "a module of this package"
    assert spec.origin is not None, "and a file"
    return "pure Python" if spec.origin.endswith(".py") else "compiled"
