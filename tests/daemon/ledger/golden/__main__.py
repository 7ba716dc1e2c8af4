"""Writes the golden state directory of today's schema; see the package.

Jobs 1 to 4 have two recipients.  1 and 2 are delivered and archived, 3 is delivered and 4 waits,
both in the ledger, 4 in a claim.  Of an archive that was dropped the id `j-0` is left.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

from daemon.ledger import Archiver, Entries, Event
from daemon.ledger.files import LEDGER, connect
from tests.daemon.ledger.content import NOON, Clock, delivered, kept, mid, start, taken

HERE = Path(__file__).parent
HOUR = 3600.0


async def write(state_dir: Path) -> int:
    """Returns the schema's version."""
    clock = Clock()
    ledger = start(state_dir, clock)
    ledger.starts()
    ledger.identity()
    await kept(ledger, taken([1, 2], recipients=2), delivered([1, 2], recipients=2))
    archiver = Archiver(ledger, zone=ZoneInfo("Asia/Shanghai"), archive_after=HOUR)
    assert await archiver.sweep(NOON + 2 * HOUR) == 2
    clock.now += 3 * HOUR
    event: Event = ("sms.reports", b"j-3", b'{"v":1}')
    await kept(
        ledger,
        taken([3, 4], recipients=2, received=clock.now),
        delivered([3], recipients=2),
        Entries(claims=[(7, clock.now, b"claimed %d" % mid(4))], events=[event]),
        Entries(keeps=[("told", b"sms.state\x000", clock.now, b"17")]),
    )
    await ledger.run(lambda db: db.execute("insert into used values ('j-0', zeroblob(16), 1e12)"))
    await archiver.close()
    await ledger.close()
    db = connect(state_dir / LEDGER, readonly=True)
    version: int = db.execute("pragma user_version").fetchone()[0]
    db.close()
    return version


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        state_dir = Path(directory) / "state"
        version = asyncio.run(write(state_dir))
        file = HERE / f"v{version}.tar.gz"
        assert not file.exists(), f"{file} is there: a golden ledger is never written anew"
        with tarfile.open(file, "w:gz") as tar:
            for path in sorted(state_dir.rglob("*.sqlite")):
                entry = tarfile.TarInfo(f"state/{path.relative_to(state_dir)}")
                octets = path.read_bytes()
                entry.size, entry.mtime = len(octets), int(NOON)
                tar.addfile(entry, io.BytesIO(octets))
    print(file, file.stat().st_size)


if __name__ == "__main__":
    main()
