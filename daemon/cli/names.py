"""Names of accounts and nodes in a configuration file, for shells to complete.

The file may be half written and is read as it is: a shell shows no errors.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any


def accounts(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    return list(_accounts(parsed_args))


def places(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Accounts, and as soon as one is named its nodes as ACCOUNT/NODE."""
    found = _accounts(parsed_args)
    account, slash, _node = prefix.partition("/")
    if not slash:
        return list(found)
    return [f"{account}/{node}" for node in _nodes(found.get(account))]


def nodes(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    return _nodes(_accounts(parsed_args).get(getattr(parsed_args, "account", "")))


def _accounts(parsed_args: argparse.Namespace) -> dict[str, Any]:
    file: Path | None = getattr(parsed_args, "config", None)
    if file is None:
        return {}
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")).get("accounts")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _nodes(account: Any) -> list[str]:
    nodes = account.get("nodes") if isinstance(account, dict) else None
    if not isinstance(nodes, list):
        return []
    return [str(node["name"]) for node in nodes if isinstance(node, dict) and "name" in node]
