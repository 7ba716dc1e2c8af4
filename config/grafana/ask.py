"""Asks a Prometheus what the dashboards ask it, to see without Grafana that they have data.

python config/grafana/ask.py http://127.0.0.1:9090      by dashboard, and which panels are empty
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

DASHBOARDS = Path(__file__).parent / "dashboards" / "en"
INTERVAL = "1m"
"""Instead of Grafana's, which depends on how wide a panel is."""
WITHIN = 10.0
"""Seconds for an answer."""


def queries(dashboard: Path) -> Iterator[tuple[str, str]]:
    """Title of the panel and query, with every variable set to all."""
    for panel in json.loads(dashboard.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", INTERVAL)
            yield panel["title"], re.sub(r"\$(instance|carrier|account)\b", ".*", query)


def ask(prometheus: str, query: str) -> list[Any]:
    """The series that answer.  Raises OSError; ValueError when Prometheus refuses the query."""
    url = f"{prometheus.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    try:
        with urlopen(url, timeout=WITHIN) as answer:  # noqa: S310  # http, as `address` has seen
            found: list[Any] = json.load(answer)["data"]["result"]
    except HTTPError as exc:
        raise ValueError(f"{query}: {exc}") from exc
    return found


def address(text: str) -> str:
    """Of the command line.  Raises ArgumentTypeError."""
    if urlsplit(text).scheme not in ("http", "https"):
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as http://127.0.0.1:9090")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Asks a Prometheus every query of the dashboards.",
        epilog="exit status: 0 all were answered, with data or without; 1 one was not",
    )
    parser.add_argument("prometheus", type=address, help="for example http://127.0.0.1:9090")
    prometheus = parser.parse_args().prometheus
    for dashboard in sorted(DASHBOARDS.glob("*.json")):
        asked = list(queries(dashboard))
        try:
            empty = [title for title, query in asked if not ask(prometheus, query)]
        except (URLError, ValueError, TimeoutError) as exc:
            sys.stderr.write(f"{dashboard.stem}: {exc}\n")
            return 1
        without = f"; without: {', '.join(dict.fromkeys(empty))}" if empty else ""
        have = len(asked) - len(empty)
        sys.stdout.write(f"{dashboard.stem}: {have} of {len(asked)} queries have data{without}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
