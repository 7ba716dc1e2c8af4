"""Places of keys in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.lines import Lines, Place, spell

TEXT = """\
# a comment with [brackets] and "quotes
top = 1

[broker]
topics.jobs = [   # earlier first
    "a", # [[not a header]]
    # nothing

    "b]",
]
topics.reports = 'r = 1'
"spaced key".x = 2
text = \"\"\"
[accounts.fake]
port = 1 \\\"\"\" still
\"\"\"\"
raw = '''
[fake]
x = 2'''
after = 1979-05-27 07:32:00

[accounts.one]
inline = { port = 1, "quoted" = [1, { deep = 2 }] }
[[accounts.one.nodes]]
port = 1
[accounts.one.nodes.more]
x = 1
[[accounts.one.nodes]]
name = "b"
port = 2
[[accounts.one.nodes.hops]]
a = 1
[[accounts.one.nodes.hops]]
a = 2
[late.sub]
x = 1
[late]
y = 1
"""

PLACES: list[tuple[Place, int]] = [
    (("top",), 2),
    (("broker",), 4),
    (("broker", "topics"), 5),
    (("broker", "topics", "jobs"), 5),
    (("broker", "topics", "jobs", 0), 6),
    (("broker", "topics", "jobs", 1), 9),
    (("broker", "topics", "reports"), 11),
    (("broker", "spaced key", "x"), 12),
    (("broker", "text"), 13),
    (("broker", "raw"), 17),
    (("broker", "after"), 20),
    (("accounts", "one"), 22),
    (("accounts", "one", "inline", "port"), 23),
    (("accounts", "one", "inline", "quoted", 1, "deep"), 23),
    (("accounts", "one", "nodes"), 24),
    (("accounts", "one", "nodes", 0), 24),
    (("accounts", "one", "nodes", 0, "port"), 25),
    (("accounts", "one", "nodes", 0, "more", "x"), 27),
    (("accounts", "one", "nodes", 1), 28),
    (("accounts", "one", "nodes", 1, "name"), 29),
    (("accounts", "one", "nodes", 1, "port"), 30),
    (("accounts", "one", "nodes", 1, "hops", 0, "a"), 32),
    (("accounts", "one", "nodes", 1, "hops", 1), 33),
    (("accounts", "one", "nodes", 1, "hops", 1, "a"), 34),
    (("late", "sub"), 35),
    (("late",), 37),
    (("late", "y"), 38),
]


@pytest.mark.parametrize(("path", "line"), PLACES, ids=[spell(path) for path, _ in PLACES])
def test_every_kind_of_key_has_its_line(path: Place, line: int) -> None:
    assert Lines(TEXT).line(path) == line


def test_the_text_of_these_tests_is_toml() -> None:
    assert tomllib.loads(TEXT)["accounts"]["one"]["nodes"][1]["hops"][1]["a"] == 2


def test_windows_line_ends_make_no_difference() -> None:
    lines = Lines(TEXT.replace("\n", "\r\n"))
    assert [lines.line(path) for path, _ in PLACES] == [line for _, line in PLACES]


def test_a_missing_key_is_placed_at_its_table() -> None:
    lines = Lines(TEXT)
    assert lines.line(("accounts", "one", "nodes", 1, "host")) == 28
    assert lines.line(("accounts", "one", "rate")) == 22
    assert lines.line(("nowhere", "at", "all")) == 1


def test_a_path_is_spelled_as_an_operator_writes_it() -> None:
    assert (
        spell(("accounts", "xz-mobile", "nodes", 1, "port")) == "accounts.xz-mobile.nodes[1].port"
    )
    assert spell(("accounts", "a b", "rate")) == 'accounts."a b".rate'
    assert spell(("accounts", 'a"\n\\', "rate")) == 'accounts."a???".rate'


class Written:
    """A TOML text that is written line by line, remembering where each key went."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.places: dict[Place, int] = {}

    def add(self, text: str, path: Place | None = None) -> None:
        if path is not None:
            self.places[path] = len(self.lines) + 1
        self.lines += text.split("\n")


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
WORDS = st.text("ab=[]{}#,'\"\\ \n.", max_size=12)


def quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def values(draw: st.DrawFn) -> str:
    word = draw(WORDS)
    basic = quoted(word.replace("\n", " "))
    several = '"""' + word.replace("\\", "\\\\").replace('"', '\\"') + '"""'
    scalar = st.sampled_from(["1", "-1.5e3", "true", "1979-05-27 07:32:00Z", basic, several])
    elements = draw(st.lists(scalar, max_size=3))
    return draw(
        st.sampled_from(
            [
                draw(scalar),
                "[\n  " + ",\n# ]\n".join(elements) + "\n]",
                "{" + ", ".join(f"k{at} = {basic}" for at in range(len(elements))) + "}",
            ]
        )
    )


@st.composite
def documents(draw: st.DrawFn) -> Written:
    written = Written()
    names = draw(st.lists(KEYS, unique=True, max_size=4))
    for at, name in enumerate(names):
        table: Place = (name,)
        if at % 2:
            for index in range(draw(st.integers(1, 3))):
                written.add(f"[[ {quoted(name)} ]]  # {name}", (*table, index))
                fill(draw, written, (*table, index))
        else:
            written.add(f"[{quoted(name)}]", table)
            fill(draw, written, table)
    return written


def fill(draw: st.DrawFn, written: Written, table: Place) -> None:
    for key in draw(st.lists(KEYS, unique=True, max_size=3)):
        dotted = draw(st.booleans())
        path = (*table, key, "x") if dotted else (*table, key)
        left = f"{quoted(key)} . x" if dotted else quoted(key)
        written.add(f"{left} = {draw(values())}", path)
        written.add(draw(st.sampled_from(["", "# [x]", "   "])))


@given(documents())
def test_any_document_gives_back_the_line_that_each_key_was_written_on(written: Written) -> None:
    text = "\n".join(written.lines)
    tomllib.loads(text)
    lines = Lines(text)
    assert {path: lines.line(path) for path in written.places} == written.places


def paths_of(value: Any, path: Place = ()) -> list[Place]:
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    return [path, *(p for key, one in inside for p in paths_of(one, (*path, key)))]


@given(st.text("ab=[]{}#,'\"\\ \n.1", max_size=40))
def test_no_text_makes_it_raise_and_what_is_toml_is_found_whole(text: str) -> None:
    lines = Lines(text)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for path in paths_of(parsed)[1:]:
        assert path in lines
