"""Backups of a state directory, taken beside the running daemon, and what a restore makes of one.

`taking` copies, in the order that makes the copies one whole (README.md beside this file),
`checking` says whether a backup is what it was, `restoring` puts it in place, and `doubt` says what
may have happened since it was made.
"""

from daemon.backup.checking import check
from daemon.backup.errors import BackupError
from daemon.backup.manifest import Manifest, newest
from daemon.backup.restoring import Restored, restore
from daemon.backup.taking import Taken, take

__all__ = ["BackupError", "Manifest", "Restored", "Taken", "check", "newest", "restore", "take"]
