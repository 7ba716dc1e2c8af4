"""The pages build without a warning, and load nothing from another host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the pages are built with the optional dependencies docs")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# What a browser fetches by itself; a link that somebody may click is none.
LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?(?:src|data)=["'](?P<one>[^"']+)"""
    r"""|<link\b[^>]*?href=["'](?P<two>[^"']+)|(?:@import\s+|url\()\s*["']?(?P<three>[^"')\s]+)""",
    re.IGNORECASE,
)
ELSEWHERE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `make docs` builds them: with --fail-on-warning."""
    folder = tmp_path_factory.mktemp("docs")
    command = ("-m", "sphinx", "-b", "html", "--fail-on-warning", "--keep-going", "--quiet")
    ended = subprocess.run(
        [sys.executable, *command, "-d", folder / "doctrees", DOCS, folder / "html"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return folder / "html"


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
