"""A state directory of every schema version, as that version wrote it: `vN.tar.gz`.

`python -m tests.daemon.ledger.golden` writes the one of today's version, to be run once when a step
is added to `daemon.ledger.migrations`, before its first release.  Never written anew after that.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

HERE = Path(__file__).parent
MAKE_IT = "make it with `python -m tests.daemon.ledger.golden` and keep it"


def unpacked(version: int, into: Path) -> Path:
    """The state directory of this schema, in `into`."""
    archive = HERE / f"v{version}.tar.gz"
    assert archive.exists(), f"there is no golden ledger of schema {version}: {MAKE_IT}"
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return into / "state"
