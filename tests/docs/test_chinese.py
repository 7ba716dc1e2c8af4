"""The Chinese pages are in step with the English ones: the same headings, the same code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAIRS = [("README.md", "README.zh.md"), ("docs/getting-started.md", "docs/getting-started.zh.md")]
CODE = re.compile(r"^```(.*?)^```$", re.DOTALL | re.MULTILINE)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Section(NamedTuple):
    """What has to be equal in both languages."""

    level: int
    code: tuple[str, ...]


def sections(text: str) -> list[tuple[str, Section]]:
    """Every heading, and what is under it up to the next one."""
    codes = CODE.findall(text)
    plain = CODE.sub("\0", text)  # a comment of a shell is no heading
    found, at = [], 0
    for piece in re.split(r"^(?=#)", plain, flags=re.MULTILINE)[1:]:
        heading = piece.partition("\n")[0]
        count = piece.count("\0")
        section = Section(
            level=len(heading) - len(heading.lstrip("#")),
            code=tuple(codes[at : at + count]),
        )
        at += count
        found.append((heading, section))
    return found


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_have_the_same_sections_with_the_same_code(english: str, chinese: str) -> None:
    ours = sections((ROOT / english).read_text(encoding="utf-8"))
    theirs = sections((ROOT / chinese).read_text(encoding="utf-8"))
    assert len(ours) > 3
    for (heading, one), (title, other) in zip(ours, theirs, strict=False):
        assert one == other, f"{english}: {heading!r}; {chinese}: {title!r}"
    assert [heading for heading, _ in ours[len(theirs) :]] == [], f"{chinese} ends too soon"
    assert [heading for heading, _ in theirs[len(ours) :]] == [], f"{english} has no such sections"


@pytest.mark.parametrize("page", [chinese for _, chinese in PAIRS])
def test_a_chinese_page_is_chinese(page: str) -> None:
    for heading, _ in sections((ROOT / page).read_text(encoding="utf-8"))[1:]:
        assert CHINESE.search(heading), heading


@pytest.mark.parametrize("page", [chinese for _, chinese in PAIRS])
def test_every_link_of_a_chinese_page_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert links
    for link in links:
        generated = "reference/" in link  # written when the pages are built
        assert generated or (ROOT / page).parent.joinpath(link).exists(), link
