"""The reference pages, written from the code that they are about.

Nothing of them is committed: `make docs` writes them from the configuration's schema, the
commands' parsers, the metrics of a built daemon and the records' JSON Schemas, so that they
cannot say something else than the code does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import codes, commands, metrics, records, settings

PAGES: dict[str, Callable[[], str]] = {
    "configuration": settings.page,
    "commands": commands.page,
    "metrics": metrics.page,
    "records": records.page,
    "codes": codes.page,
}


def write(folder: Path) -> None:
    """Writes every page into the folder; one that says the same as before is left alone."""
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        file, text = folder / f"{name}.md", page()
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
