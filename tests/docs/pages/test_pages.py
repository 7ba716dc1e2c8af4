"""The pages build without a warning, and load nothing from another host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import DOCS

# What a browser fetches by itself; a link that somebody may click is none.
LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?(?:src|data)=["'](?P<one>[^"']+)"""
    r"""|<link\b[^>]*?href=["'](?P<two>[^"']+)|(?:@import\s+|url\()\s*["']?(?P<three>[^"')\s]+)""",
    re.IGNORECASE,
)
ELSEWHERE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


def test_every_page_is_built_and_in_the_navigation(built: Path) -> None:
    pages = {
        file.relative_to(DOCS).with_suffix("").as_posix()
        for file in DOCS.rglob("*.md")
        if file != DOCS / "README.md" and "generator" not in file.parts
    }
    front = (built / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'href="([^"#:]+)\.html"', front)) | {"index"}
    for page in sorted(pages):
        assert (built / f"{page}.html").exists(), page
        folder = f"{page.rpartition('/')[0]}/index"
        assert page in named or folder in named, page


def test_no_page_loads_anything_from_another_host(built: Path) -> None:
    looked = 0
    for file in (*built.rglob("*.html"), *built.rglob("*.css")):
        for found in LOADS.finditer(file.read_text(encoding="utf-8")):
            looked += 1
            target = next(filter(None, found.groups()))
            assert not ELSEWHERE.match(target), f"{file.name}: {target}"
    assert looked > 100


@pytest.mark.parametrize("page", ["configuration", "commands", "metrics", "records", "codes"])
def test_the_references_are_there(built: Path, page: str) -> None:
    assert (built / "reference" / f"{page}.html").stat().st_size > 5000
