"""The services fit together; `make lint` checks its form against the specification's schema."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from daemon.config import examine
from daemon.demo import load

from .test_image import ROOT, understood

FILE = ROOT / "config" / "compose.yaml"


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(file.read_text())
    return found


WHOLE = read(FILE)
SERVICES: dict[str, Any] = WHOLE["services"]
OURS = {name: each for name, each in SERVICES.items() if "build" in each}
CONFIG = FILE.parent / "compose" / "carrierd.toml"


def mounts(service: dict[str, Any]) -> list[list[str]]:
    return [mount.split(":") for mount in service.get("volumes", ())]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_all_that_it_names(name: str) -> None:
    service = SERVICES[name]
    for source, _, *mode in mounts(service):
        if source.startswith("."):
            assert (FILE.parent / source).exists(), source
            assert mode == ["ro"], source
        else:
            assert source in WHOLE["volumes"]
    assert set(service.get("depends_on", ())) <= SERVICES.keys()
    assert re.fullmatch(r"(\S+/)?\S+:(local|v?\d+\.\d+\.\d+)", service["image"]), "one version"
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "nothing here is for the network"


def test_what_is_waited_for_can_be_seen_to_be_well() -> None:
    image = "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    for service in SERVICES.values():
        depends = service.get("depends_on", {})
        for other, how in depends.items() if isinstance(depends, dict) else ():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other] or (other in OURS and image)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_cannot_write_and_may_do_nothing_more(name: str) -> None:
    service = OURS[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert ["./compose/carrierd.toml", "/etc/carrierd/carrierd.toml", "ro"] in mounts(service)


def test_what_our_containers_run_is_understood() -> None:
    plain = [each["command"] for each in OURS.values() if "entrypoint" not in each]
    assert {command[0] for command in plain} == {"topics", "run", "simulate"}
    for command in plain:
        assert callable(understood(command).run)
    (traffic,) = [each for each in OURS.values() if "entrypoint" in each]
    assert traffic["entrypoint"] == ["python", "-m", load.__name__]
    rate = float(dict(zip(*[iter(traffic["command"])] * 2, strict=True))["--rate"])
    config = examine(CONFIG).whole
    assert rate * 2 < sum(account.rate for account in config.accounts.values())


def test_the_configuration_fits_the_services() -> None:
    config, warnings, _ = examine(CONFIG)
    assert warnings == []
    assert load.away_from_loopback(config) == []
    assert SERVICES["gateways"]["network_mode"] == "service:carrierd"
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert [f"PLAINTEXT://{address}" for address in config.broker.bootstrap] == [listeners]
    assert [str(config.daemon.state_dir)] == [
        place for source, place, *_ in mounts(SERVICES["carrierd"]) if source == "state"
    ]


def test_prometheus_and_grafana_are_set_up_as_in_earnest_but_for_their_addresses() -> None:
    port = examine(CONFIG).whole.http.listen.port
    ours, theirs = (
        read(FILE.parent / folder / "prometheus.yml") for folder in ("compose", "prometheus")
    )
    for each in (ours, theirs):
        (each["targets"],) = each["scrape_configs"][0]["static_configs"][0].pop("targets")
    assert (ours["targets"], ours["scrape_configs"]) == (
        f"carrierd:{port}",
        theirs["scrape_configs"],
    )
    rules = {Path(file).name for file in theirs["rule_files"]}
    assert rules == {file.name for file in (FILE.parent / "prometheus" / "rules").glob("*.yml")}
    assert ours["rule_files"] == ["/etc/prometheus/rules/*.yml"]
    ours, theirs = (
        read(FILE.parent / file)["datasources"][0]
        for file in ("compose/datasource.yml", "grafana/provisioning/datasources/carrierd.yml")
    )
    assert ours.pop("url") == "http://prometheus:9090"
    assert ours.pop("jsonData")["httpMethod"] == theirs.pop("jsonData")["httpMethod"]
    del theirs["url"]
    assert ours == theirs


def test_grafana_finds_its_dashboards_where_it_is_told_to_look() -> None:
    places = {place: source for source, place, _ in mounts(SERVICES["grafana"])}
    folder = FILE.parent / places["/etc/carrierd/grafana/dashboards"]

    def here(path: str) -> Path:
        return folder / Path(path).relative_to("/etc/carrierd/grafana/dashboards")

    for file in (FILE.parent / places["/etc/grafana/provisioning/dashboards"]).iterdir():
        for provider in read(file)["providers"]:
            assert list(here(provider["options"]["path"]).glob("*.json"))
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert here(home).is_file()


def test_a_load_goes_to_nobody_by_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "carrierd.toml"
    file.write_text(CONFIG.read_text().replace('host = "127.0.0.1"', 'host = "10.0.0.1"', 1))
    assert load.main(["--config", str(file)]) == 2
    assert "accounts.demo-mobile.nodes.m1: not on loopback" in capsys.readouterr().err
