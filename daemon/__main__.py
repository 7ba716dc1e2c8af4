"""The program: `carrierd` and `python -m daemon` are the same."""

from __future__ import annotations

import sys

from daemon.cli import main

if __name__ == "__main__":
    sys.exit(main())
