"""The rules of config/prometheus as data."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
HERE = ROOT / "config" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"

Rule = dict[str, Any]


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def rules(name: str) -> list[Rule]:
    """Of one file, in order."""
    return [rule for group in read(HERE / "rules" / name)["groups"] for rule in group["rules"]]


ALERTS = rules("alerts.yml")
RECORDS = rules("recording.yml")
NAMES = sorted({rule["alert"] for rule in ALERTS})


def script(path: Path) -> ModuleType:
    """A program of the tree that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scale = script(HERE / "scale.py")
