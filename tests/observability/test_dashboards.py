"""Dashboards: as their source says, whole, and the same in both languages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from .dashboards import HERE, LANGUAGES, NAMES, board, panels, queries, targets
from .prometheus import promtool as run
from .rules import read

EACH = [(language, name) for language in LANGUAGES for name in NAMES]
KINDS = {"stat", "timeseries", "heatmap", "table", "state-timeline"}


def test_the_json_is_what_the_source_says() -> None:
    ended = subprocess.run(
        [sys.executable, HERE / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(NAMES) == 4


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_ask_the_same_and_chinese_titles_are_chinese(name: str) -> None:
    english, chinese = board("en", name), board("zh", name)
    assert targets(english) == targets(chinese)
    for of in (chinese, *chinese["panels"]):
        assert re.search(r"[\u4e00-\u9fff]", of["title"]), of["title"]
    for of in (english, *english["panels"]):
        assert of["title"].isascii(), of["title"]
    assert {english["uid"], chinese["uid"]} == {f"carrierd-{name}-en", f"carrierd-{name}-zh"}


@pytest.mark.parametrize(("language", "name"), EACH)
def test_panels_are_whole_and_none_covers_another(language: str, name: str) -> None:
    of = board(language, name)
    ids = [panel["id"] for panel in of["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(of):
        assert panel["type"] in KINDS
        assert panel["targets"], panel["title"]
        for target in (panel, *panel["targets"]):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        assert [each["value"] for each in steps[1:]] == sorted(each["value"] for each in steps[1:])
    places = [panel["gridPos"] for panel in of["panels"]]
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= 24 for at in places)
    for one, other in combinations(places, 2):
        apart = any(
            a[at] + a[size] <= b[at]
            for a, b in ((one, other), (other, one))
            for at, size in (("x", "w"), ("y", "h"))
        )
        assert apart, (one, other)


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_asked_for_and_no_other(name: str) -> None:
    of = board("zh", name)
    variables = {each["name"] for each in of["templating"]["list"]}
    lists = [each["query"] for each in of["templating"]["list"]]
    named = set(re.findall(r"\$\{?(\w+)", json.dumps([targets(of), lists])))
    assert named - {"__rate_interval"} == variables - {"datasource"}


def test_what_the_brief_of_the_duty_officer_needs_can_be_chosen_and_seen() -> None:
    of = board("zh", "overview")
    assert {"instance", "carrier", "account"} <= {v["name"] for v in of["templating"]["list"]}
    asked = " ".join(targets(of))
    for name in ("submits_ok", "success_gross", "within_5s", "within_7s", "bind_up", "waiting"):
        assert name in asked, name
    assert "ALERTS" in asked


def test_every_query_is_one(tmp_path: Path, promtool: None) -> None:
    rules = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries())]
    file = tmp_path / "panels.json"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    ended = run("check", "rules", file)
    assert ended.returncode == 0, ended.stderr
    assert len(rules) > 80


def test_what_is_provisioned_is_there() -> None:
    providers = read(HERE / "provisioning" / "dashboards" / "carrierd.yml")["providers"]
    found = {Path(provider["options"]["path"]).name for provider in providers}
    assert found == set(LANGUAGES)
    assert len({provider["folder"] for provider in providers}) == 2
    (source,) = read(HERE / "provisioning" / "datasources" / "carrierd.yml")["datasources"]
    default = board("en", "overview")["templating"]["list"][0]["current"]["value"]
    assert (source["type"], source["uid"]) == ("prometheus", default)
