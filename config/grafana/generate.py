"""Writes the dashboards that Grafana is provisioned with, in both languages.

python config/grafana/generate.py            writes dashboards/en and dashboards/zh
python config/grafana/generate.py --check    says what differs, and exits 1 if anything does
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

from source import account, kafka, overview, process
from source.board import spell_board
from source.panels import Language

HERE = Path(__file__).parent / "dashboards"
BOARDS = (overview.BOARD, account.BOARD, kafka.BOARD, process.BOARD)


def files() -> dict[Path, str]:
    """What each file has to say."""
    return {
        HERE / language / f"{board.name}.json": json.dumps(
            spell_board(board, language), ensure_ascii=False, indent=2
        )
        + "\n"
        for language in get_args(Language)
        for board in BOARDS
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the dashboards, in both languages.")
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    check = parser.parse_args().check
    wanted = files()
    there = {path: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*/*.json"))}
    if check:
        for path in sorted(wanted.keys() | there.keys()):
            if wanted.get(path) != there.get(path):
                sys.stdout.write(f"{path}: run `python config/grafana/generate.py`\n")
        return int(wanted != there)
    for path in there.keys() - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
