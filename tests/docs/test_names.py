"""What the pages name exists: files, commands, make targets, metrics."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from daemon.cli import COMMANDS
from docs.generator import metrics

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.zh.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page.parent.name
        not in ("reference", "runbooks")  # written from code; tests of their own
    ),
]
TOPS = "bench|config|daemon|docs|protocols|systemd|tests"
MADE = ("docs/reference",)
"""What is there only when it was made."""


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def known_metrics() -> set[str]:
    return {metrics.name(family) for family in metrics.shown()}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(rf"`((?:{TOPS})/[\w./-]*\w)/?`", text):
        assert path.startswith(MADE) or (ROOT / path).exists(), path
    assert set(re.findall(r"`carrierd ([a-z]+)", text)) <= set(COMMANDS)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)
    assert set(re.findall(r"`(carrierd_\w+)[`{]", text)) <= known_metrics()


def test_every_file_of_the_walk_through_has_the_quirk_in_it() -> None:
    page = (ROOT / "docs" / "add-a-quirk.md").read_text(encoding="utf-8")
    table = page.partition("## The files\n")[2].partition("\n## ")[0]
    files = re.findall(r"^\| `([\w./]+)` \|", table, re.MULTILINE)
    assert len(files) >= 9
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        # The digest has it as a flag of its own; the change log tells users of it in words.
        word = {"protocols/cmpp/digest.py": "pad", "CHANGELOG.md": "Added"}.get(file, "md5_pad")
        assert word in text, file


def test_the_code_that_the_walk_through_shows_is_the_code() -> None:
    page = (ROOT / "docs" / "add-a-quirk.md").read_text(encoding="utf-8")
    source = "".join(
        (ROOT / file).read_text(encoding="utf-8")
        for file in ("daemon/config/schema.py", "protocols/cmpp/digest.py")
    )
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        for line in block.splitlines():
            assert line in source, line


def test_every_code_of_the_daemons_own_is_explained() -> None:
    page = (ROOT / "docs" / "integrating.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(LOCAL:\w+)` \|", page, re.MULTILINE))
    sources = (ROOT / "daemon").rglob("*.py")
    used = {code for file in sources for code in re.findall(r"LOCAL:[A-Z_]+", file.read_text())}
    assert explained == used


def test_every_vector_that_the_protocol_notes_name_is_there() -> None:
    vectors = {
        file.name: file.read_text(encoding="utf-8")
        for file in (ROOT / "tests" / "vectors").glob("*.json")
    }
    named = [
        name
        for page in (ROOT / "docs" / "protocols").glob("*.md")
        for found in re.findall(r"vectors? (?:of )?(`.*?) \|", page.read_text(encoding="utf-8"))
        for name in re.findall(r"`([\w.:]+)`", found)
    ]
    assert len(named) > 10
    for name in named:
        octets = name.encode().hex()
        assert name in vectors or any(name in t or octets in t for t in vectors.values()), name
