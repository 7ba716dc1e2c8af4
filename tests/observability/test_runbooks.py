"""Pages for people whom an alert has woken: there for every alert, and true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.test_readme import blocks, parsed

from .prometheus import promtool as run
from .rules import ALERTS, HERE, NAMES, ROOT, RUNBOOKS

INDEX = RUNBOOKS / "index.md"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path != INDEX)
HEADINGS = ["What it means", "How to see it", "What to do", "When it is over"]
METRIC = re.compile(r"\b(?:(?:account|carrier|topic|instance|job):)?carrierd_\w+(?::\w+)?")
COMMAND = re.compile(r"`(carrierd\s[^`]*--config[^`]*)`")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert [path.stem for path in PAGES] == NAMES


def test_every_link_from_an_alert_leads_to_its_page() -> None:
    for rule in ALERTS:
        link = rule["annotations"]["runbook_url"]
        assert (ROOT / link).is_file(), link
        assert Path(link).stem == rule["alert"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_says_what_it_means_how_to_see_it_what_to_do_and_when_it_is_over(path: Path) -> None:
    title, severity, *_ = [line for line in text(path).splitlines() if line]
    assert title == f"# {path.stem}"
    said = [
        f"`{rule['labels']['severity']}` "
        + (f"after {rule['for']}" if "for" in rule else "at once")
        for rule in ALERTS
        if rule["alert"] == path.stem
    ]
    assert severity == ", ".join(said)
    assert re.findall(r"^## (.*)$", text(path), re.MULTILINE) == HEADINGS
    assert blocks("promql", text(path)), "no query shows it"


def test_every_query_of_a_page_is_one(tmp_path: Path, promtool: None) -> None:
    queries = [
        line
        for path in PAGES
        for block in blocks("promql", text(path))
        for line in block.splitlines()
    ]
    rules = [{"record": f"page:{n}", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "pages.json"
    file.write_text(json.dumps({"groups": [{"name": "pages", "rules": rules}]}))
    ended = run("check", "rules", file)
    assert ended.returncode == 0, ended.stderr
    assert f"{len(queries)} rules found" in ended.stdout


def known_metrics() -> set[str]:
    readme = text(ROOT / "README.md")
    found = set(re.findall(r"`(carrierd_\w+)", readme.partition("## Metrics and health")[2]))
    for name in list(found):
        found |= {f"{name}_{end}" for end in ("bucket", "count", "sum")}
    return found | set(re.findall(r"record: (\S+)", text(HERE / "rules" / "recording.yml")))


def test_every_metric_on_a_page_or_in_a_rule_exists() -> None:
    known = known_metrics()
    for path in (*PAGES, INDEX, *(HERE / "rules").glob("*.yml")):
        for name in METRIC.findall(text(path)):
            assert name in known, f"{path.name}: {name}"


def test_every_command_of_a_page_is_understood() -> None:
    found = 0
    for path in (*PAGES, INDEX):
        shown = [" ".join(line.split()) for line in COMMAND.findall(text(path))]
        shown += [
            line
            for block in blocks("sh", text(path))
            for line in block.splitlines()
            if line.startswith("carrierd ")
        ]
        for line in shown:
            assert callable(parsed(line).run), line
        found += len(shown)
    assert found > 10


def test_every_link_of_a_page_leads_somewhere() -> None:
    for path in (*PAGES, INDEX):
        for link in re.findall(r"\]\(([^)#:]+)\)", text(path)):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_index_lists_every_page_once_with_its_severity() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (.*?) \|", text(INDEX), re.MULTILINE)
    assert sorted(name for name, _ in rows) == NAMES
    for name, severity in rows:
        assert severity == text(RUNBOOKS / f"{name}.md").splitlines()[2]
