"""The metrics reference: what a daemon of the example configuration shows when it is scraped."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import structs
from prometheus_client import Metric

from daemon.app import App
from daemon.config import load
from daemon.tally import SECONDS

from .markdown import code, table

EXAMPLE = Path(__file__).parents[2] / "config" / "example.toml"
OURS = "carrierd_"
TOLD = ("outcome", "reason", "state", "phase")
"""Labels whose values are the same in every installation."""


def page() -> str:
    """The metrics reference in Markdown."""
    families = shown()
    own = [family for family in families if family.name.startswith(OURS)]
    rows = [
        (code(name(family)), family.type, ", ".join(map(code, labels(family))), _what(family))
        for family in own
    ]
    other = ", ".join(code(name(f)) for f in families if f not in own)
    bounds = ", ".join(f"{second:g}" for second in SECONDS)
    return "\n".join(
        (
            _BEGIN,
            table(("name", "type", "labels", "what"), rows),
            f"Histograms have `_bucket`, `_sum` and `_count`, in seconds; bounds: {bounds}.\n",
            f"Of the process itself: {other}.\n",
        )
    )


def shown() -> list[Metric]:
    """The families that a daemon shows, built of the example configuration and not started."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_scraped(Path(folder)))


async def _scraped(folder: Path) -> list[Metric]:
    config = load(EXAMPLE)
    app = App(structs.replace(config, daemon=structs.replace(config.daemon, state_dir=folder)))
    try:
        return list(app.http.registry.collect())
    finally:
        await app.sweep.close()
        await app.ledger.close()


def name(family: Metric) -> str:
    """As it stands in a query; a histogram without its endings."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def labels(family: Metric) -> list[str]:
    """The labels that a query may ask for."""
    named = list(getattr(family, "_labelnames", ()))
    return named or sorted({key for sample in family.samples for key in sample.labels} - {"le"})


def _what(family: Metric) -> str:
    return " ".join((family.documentation, *_values(family)))


def _values(family: Metric) -> Iterator[str]:
    for label in labels(family):
        found = sorted({s.labels[label] for s in family.samples if label in s.labels})
        if label in TOLD and found:
            yield f"{label}: {', '.join(map(code, found))}."


_BEGIN = """\
# Metrics

`http.listen` serves `/metrics` for Prometheus, `/healthz` (200 while the loop turns), `/readyz`
(200 when the broker is connected and every routed carrier has a usable account, else 503 with the
reasons) and `/status` (accounts, nodes, binds, and why messages wait). One carrier that is down
makes `/readyz` say 503: tell people, do not restart the daemon for it. Numbers of subscribers
stand nowhere in them.

This page is written by `make docs` from what a daemon with the example configuration shows.
"""
