"""How Sphinx builds these pages: Markdown by MyST, Furo's look, nothing from another host.

The reference pages are written from the code first, and pages that `index.md` does not name are
put at the end of the navigation, so that adding one needs no other change.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from docs import generator, search  # noqa: E402

project = "carrierd"
_DECLARED = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
version = release = _DECLARED["project"]["version"]
extensions = ["myst_parser"]
exclude_patterns = ["README.md", "generator", "__pycache__"]
nitpicky = True
smartquotes = False

# Headings down to this level can be linked to as #their-words.
myst_heading_anchors = 3

html_theme = "furo"
html_favicon = "icon.svg"
html_title = f"carrierd {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False

NO_SUMMARIES = (
    'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
)
"""Pages opened as files may not read each other, which the search does to quote what it found."""

REST = "% the rest"
"""The line of `index.md` that other pages take the place of."""


LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
INCLUDE = re.compile(r"^```\{include\} (\S+)", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, bool]:
    # Pygments' own stumbles over the colons of recorded names.
    app.add_lexer("promql", TextLexer)
    app.add_search_language(search.Words)
    app.add_js_file(None, body=NO_SUMMARIES)
    app.connect("builder-inited", _write_reference)
    app.connect("source-read", _on_page)
    app.connect("include-read", _on_included)
    app.connect("html-page-context", _in_its_language)
    return {"parallel_read_safe": True}


def _write_reference(app: Sphinx) -> None:
    generator.write(HERE / "reference")


def _on_page(app: Sphinx, page: str, source: list[str]) -> None:
    if page == "index":
        source[0] = _with_the_rest(source[0], app.env.found_docs)


def _with_the_rest(index: str, found: set[str]) -> str:
    """Every page in the navigation, named there or not."""
    named = {line.strip() for line in index.splitlines()}
    # What a folder's own index has in its navigation is not said twice.
    rest = sorted(one for one in found - named - {"index"} if _front(one, found) == one)
    return index.replace(REST, "\n".join(rest))


def _front(page: str, found: set[str]) -> str:
    """The index of the page's folder, or the page itself where there is none."""
    index = f"{page.rpartition('/')[0]}/index"
    return index if index in found else page


def _in_its_language(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """So that a browser chooses the right glyphs, and a voice the right words."""
    if page.endswith(".zh"):
        context["language"] = "zh-CN"


def _on_included(app: Sphinx, path: Path, page: str, source: list[str]) -> None:
    """Links of a file beside the code are relative to it, and lead to the page that shows it."""
    folder = (HERE / path).resolve().parent
    here = (HERE / page).parent

    def led(link: re.Match[str]) -> str:
        target = (folder / link[1]).resolve()
        place = os.path.relpath(_shown().get(target, target), here)
        return f"]({place}{link[2] or ''})"

    source[0] = LINK.sub(led, source[0])


@cache
def _shown() -> dict[Path, Path]:
    """Files beside the code, by the page that includes them."""
    return {
        (page.parent / included).resolve(): page
        for page in HERE.glob("*.md")
        for included in INCLUDE.findall(page.read_text(encoding="utf-8"))
    }
