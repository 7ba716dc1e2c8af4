"""How Sphinx builds these pages: Markdown by MyST, Furo's look, nothing from another host.

The reference pages are written from the code first, and pages that `index.md` does not name are
put at the end of the navigation, so that adding one needs no other change.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from docs import generator  # noqa: E402

project = "carrierd"
_DECLARED = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
version = release = _DECLARED["project"]["version"]
extensions = ["myst_parser"]
exclude_patterns = ["README.md", "generator", "__pycache__"]
nitpicky = True

# Headings down to this level can be linked to as #their-words.
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"carrierd {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False

REST = "% the rest"
"""The line of `index.md` that other pages take the place of."""


def setup(app: Sphinx) -> dict[str, bool]:
    # Pygments' own stumbles over the colons of recorded names.
    app.add_lexer("promql", TextLexer)
    app.connect("builder-inited", _write_reference)
    app.connect("source-read", _name_the_rest)
    return {"parallel_read_safe": True}


def _write_reference(app: Sphinx) -> None:
    generator.write(HERE / "reference")


def _name_the_rest(app: Sphinx, page: str, source: list[str]) -> None:
    """Into `index.md`, so that no page can be missing from the navigation."""
    if page != "index":
        return
    found = app.env.found_docs
    named = {line.strip() for line in source[0].splitlines()}
    # What a folder's own index has in its navigation is not said twice.
    rest = sorted(one for one in found - named - {"index"} if _front(one, found) == one)
    source[0] = source[0].replace(REST, "\n".join(rest))


def _front(page: str, found: set[str]) -> str:
    """The index of the page's folder, or the page itself where there is none."""
    index = f"{page.rpartition('/')[0]}/index"
    return index if index in found else page
