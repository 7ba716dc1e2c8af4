"""`python -m daemon.schemas NAME` prints a schema, for tools that want it in a file."""

from __future__ import annotations

import sys

from . import NAMES, text

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python -m daemon.schemas {'|'.join(NAMES)}")
    sys.stdout.write(text(sys.argv[1]))
