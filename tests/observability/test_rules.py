"""The rules as Prometheus's own promtool sees them, and what every alert has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .prometheus import promtool as run
from .rules import ALERTS, HERE, NAMES, RECORDS, read, scale

TESTS = sorted((HERE / "tests").glob("*.yml"))


def test_promtool_finds_nothing_wrong_with_configuration_and_rules(promtool: None) -> None:
    ended = run("check", "config", HERE / "prometheus.yml")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(ALERTS)} rules found" in ended.stdout
    assert f"{len(RECORDS)} rules found" in ended.stdout


def test_alerts_fire_when_they_should_and_not_when_something_looks_alike(promtool: None) -> None:
    ended = run("test", "rules", *TESTS)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("SUCCESS") == len(TESTS)


def test_every_alert_has_a_test_that_fires_and_one_that_does_not() -> None:
    fires, silent = set(), set()
    for test in (test for file in TESTS for test in read(file)["tests"]):
        for case in test["promql_expr_test"]:
            (name,) = re.findall(r'alertname="(\w+)"', case["expr"])
            counts = [sample["value"] for sample in case["exp_samples"]]
            (fires if counts else silent).add(name)
            # Where something alike is in the same test, the count says that it does not fire.
            if counts and sum(counts) < len(series_of(test)):
                silent.add(name)
    assert fires >= set(NAMES)
    assert silent >= set(NAMES)


def series_of(test: dict[str, Any]) -> set[str]:
    """Whatever a test tells apart: instances, accounts, carriers or topics."""
    labels = ("instance", "account", "carrier", "topic", "node")
    found = [dict(re.findall(r'(\w+)="([^"]*)"', each["series"])) for each in test["input_series"]]
    return {"/".join(each.get(label, "") for label in labels) for each in found}


def test_alerts_say_who_has_to_look_and_what_it_means_in_both_languages() -> None:
    for rule in ALERTS:
        name = rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        summary, chinese = (rule["annotations"][key] for key in ("summary", "summary_zh"))
        assert len(summary) > 60, name
        assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) > 15, name
        # The same figures and places are named in both.
        english, other = (sorted(re.findall(r"{{.*?}}", each)) for each in (summary, chinese))
        assert english == other, name


def test_alertmanager_silences_and_wakes_for_alerts_that_exist() -> None:
    config = read(HERE / "alertmanager.yml")
    receivers = {receiver["name"] for receiver in config["receivers"]}
    routes = [config["route"], *config["route"]["routes"]]
    assert {route["receiver"] for route in routes} <= receivers
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            key, _, value = re.match(r'(\w+)(=~?)"(.*)"', matcher).groups()  # type: ignore[union-attr]
            if key == "alertname":
                assert set(value.split("|")) <= set(NAMES), matcher


def test_shortened_rules_are_the_same_rules(tmp_path: Path, promtool: None) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, HERE / "scale.py", "--by", "60", "--at-least", "2s"),
            *("--runbooks", "https://pages.example/runbooks/", "--into", tmp_path),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    files = ended.stdout.split()
    assert run("check", "rules", *files).returncode == 0
    short = [rule for group in read(tmp_path / "alerts.yml")["groups"] for rule in group["rules"]]
    assert [rule["alert"] for rule in short] == [rule["alert"] for rule in ALERTS]
    by_name = {rule["alert"]: rule for rule in short}
    assert by_name["CarrierdNodeLost"]["for"] == "1000ms"
    assert "[5000ms]" in by_name["CarrierdThrottled"]["expr"]
    assert "offset 5000ms" in by_name["CarrierdBacklogGrowing"]["expr"]
    assert "[2000ms]" in by_name["CarrierdCredentialsRefused"]["expr"]
    pages = {rule["annotations"]["runbook_url"] for rule in short}
    assert "https://pages.example/runbooks/CarrierdDown" in pages


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("rate(a[5m])", "rate(a[5000ms])"),
        ("max_over_time(rate(a[5m])[1h:1m])", "max_over_time(rate(a[5000ms])[60000ms:1000ms])"),
        ("a[1h30m:]", "a[90000ms:]"),
        ("a - a offset 6h", "a - a offset 360000ms"),
        ("account:late:share5m > 14.4 * 0.02", "account:late:share5m > 14.4 * 0.02"),
        ("rate(a[10s])", "rate(a[1000ms])"),
    ],
)
def test_windows_are_shortened_and_numbers_are_not(before: str, after: str) -> None:
    assert scale.query(before, 60, 1000) == after


def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'5 minutes' is no duration; allowed is such as 500ms"):
        scale.milliseconds("5 minutes")
