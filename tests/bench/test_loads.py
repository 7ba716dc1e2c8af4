"""Rate and latency over rising loads, as a report of the suite `contract` has them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench import contract
from bench.loads import written
from bench.offered import Run
from bench.options import Options
from daemon.demo.fates import Fates


def test_of_a_load_counts_what_was_written_while_it_was_offered() -> None:
    fates = Fates("x", 4)
    for index, (produced, submitted) in enumerate([(10.0, 10.1), (10.5, 10.6), (11.0, 12.5)]):
        fates.times["produced"][index] = produced
        fates.times["submitted"][index] = submitted
    run = cast(Run, SimpleNamespace(fates=fates, rate=2.0))
    # Four messages at two a second: two of them in time, one late, one never.
    assert written(run) == 2 / 2.0


def test_a_report_of_the_contract_has_rate_and_latency_over_rising_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.loads.LOADS", (100.0, 200.0, 300.0))
    monkeypatch.setattr("bench.loads.SECONDS", 0.5)
    monkeypatch.setattr("bench.loads.written", lambda run: 100.0)
    options = Options(directory=tmp_path, seconds=1.0, rate=2000.0, report=tmp_path / "report")
    shown = asyncio.run(contract.measure(options))
    # The second load is not kept up with, so there is no third.
    assert [row["offered/s"] for row in shown.tables["loads"]] == [100, 200]
    targets = {target.name: target for target in shown.targets}
    assert targets["queue p99"].target.startswith("<= 20 ")
    assert "queue p50" not in targets
    assert targets["lowest inner second"].target == ">= 1818"
    assert targets["loads: lost"].met
    assert targets["loads: sent twice"].met
    assert not any("urgent" in name for name in targets)
    assert [panel.title for panel in shown.panels] == ["rate over load", "latency over load"]
