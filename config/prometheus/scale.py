"""Writes the rules with shorter windows, or with another place for the runbooks.

    python config/prometheus/scale.py --by 60 --at-least 5s --into /tmp/rules

A window of an hour becomes one of a minute, a `for` of five minutes one of five seconds: what
takes production an afternoon to show shows at once, in a demonstration, a drill or a test, by the
same rules. Thresholds stay, and so do names: `share1h` is then of a minute. Rates need two scrapes
in each window, so scrape at least four times in `--at-least`.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
RULES = sorted((HERE / "rules").glob("*.yml"))
MILLISECONDS = {
    "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
}  # fmt: skip
DURATION = r"(?:[0-9]+(?:ms|[smhdw]))+"
RANGE = re.compile(rf"\[({DURATION})(?::({DURATION})?)?\]")
OFFSET = re.compile(rf"\b(offset\s+)({DURATION})\b")
WAIT = re.compile(rf"^(\s*(?:for|interval|keep_firing_for):\s*)({DURATION})\b", re.MULTILINE)
RUNBOOK = re.compile(r"^(\s*runbook_url:\s*)docs/runbooks/(\w+)\.md\b", re.MULTILINE)


def milliseconds(duration: str) -> int:
    """Of a duration as Prometheus writes it, such as `1h30m`; ValueError when it is none."""
    if not re.fullmatch(DURATION, duration):
        raise ValueError(f"{duration!r} is no duration; allowed is such as 500ms, 5s or 1h30m")
    found = re.findall(r"([0-9]+)(ms|[smhdw])", duration)
    return sum(int(number) * MILLISECONDS[unit] for number, unit in found)


def shorter(duration: str, by: float, at_least: int = 1) -> str:
    """A duration divided by `by`, and no less than `at_least` milliseconds."""
    return f"{max(at_least, round(milliseconds(duration) / by))}ms"


def query(expression: str, by: float, at_least: int) -> str:
    """A PromQL expression with all its windows and offsets shortened."""

    def window(match: re.Match[str]) -> str:
        ends = [shorter(each, by, at_least) for each in match.groups() if each is not None]
        subquery = ":" if ":" in match[0] else ""
        return f"[{ends[0]}{subquery}{ends[1] if len(ends) > 1 else ''}]"

    found = RANGE.sub(window, expression)
    return OFFSET.sub(lambda match: match[1] + shorter(match[2], by, at_least), found)


def rules(text: str, by: float, at_least: int, runbooks: str | None = None) -> str:
    """A rule file with everything shortened; `runbooks` goes in front of the pages' names."""
    found = WAIT.sub(lambda match: match[1] + shorter(match[2], by), query(text, by, at_least))
    if runbooks is not None:
        found = RUNBOOK.sub(rf"\g<1>{runbooks.rstrip('/')}/\g<2>", found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Writes the rules with shorter windows, or with another place for the runbooks."
    )
    parser.add_argument(
        "--by", type=float, default=1.0, metavar="N", help="divide every window and `for` by this"
    )
    parser.add_argument(
        "--at-least", default="1ms", metavar="DURATION", help="no window is shorter (%(default)s)"
    )
    parser.add_argument(
        "--runbooks", metavar="URL", help="where the pages are served: URL/CarrierdDown and so on"
    )
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="where to write")
    args = parser.parse_args()
    try:
        at_least = milliseconds(args.at_least)
    except ValueError as exc:
        parser.error(f"--at-least: {exc}")
    if args.by <= 0:
        parser.error("--by: must be above 0")
    args.into.mkdir(parents=True, exist_ok=True)
    for path in RULES:
        found = rules(path.read_text(encoding="utf-8"), args.by, at_least, args.runbooks)
        (args.into / path.name).write_text(found, encoding="utf-8")
        sys.stdout.write(f"{args.into / path.name}\n")


if __name__ == "__main__":
    main()
