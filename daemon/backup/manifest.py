"""What a backup consists of: `manifest.json`, the last thing that is written of one."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from daemon.backup.errors import BackupError

FILE = "manifest.json"
FORMAT = 1
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z(-[0-9]{3})?")


class Entry(Struct, frozen=True, kw_only=True):
    """One file."""

    path: str
    """Within the backup and the state directory alike, with slashes."""
    octets: int
    sha256: str
    rows: dict[str, int] = {}
    """Rows by table; of a segment of the local broker its `record`s."""
    source: tuple[int, int, int] | None = None
    """Size, time (ns) and inode of a file that no longer changes: the next backup links to this."""


class Manifest(Struct, frozen=True, kw_only=True):
    """Times in seconds since 1970."""

    format: int
    made: float
    """When the ledger was copied: what came later is not in here."""
    instance: str
    version: str
    """Of the program."""
    schema: int
    """Of the ledger."""
    broker: str
    unfinished: int
    """Messages without a final state."""
    untaken: int
    """Jobs that waited in the local broker."""
    entries: tuple[Entry, ...]


class _Sealed(Struct):
    manifest: msgspec.Raw
    sha256: str
    """Of the octets of `manifest`."""


def write(manifest: Manifest, directory: Path) -> None:
    """Not durable yet."""
    body = msgspec.json.encode(manifest)
    sealed = _Sealed(msgspec.Raw(body), hashlib.sha256(body).hexdigest())
    (directory / FILE).write_bytes(msgspec.json.encode(sealed) + b"\n")


def read(directory: Path) -> Manifest:
    """Raises BackupError; says nothing of the files."""
    path = directory / FILE
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
        if hashlib.sha256(sealed.manifest).hexdigest() != sealed.sha256:
            raise BackupError(f"{path}: is not what was written: its digest differs")
        manifest = msgspec.json.decode(sealed.manifest, type=Manifest)
    except OSError as exc:
        raise BackupError(
            f"{path}: {exc.strerror}; a backup has one, unless it did not come to its end"
        ) from exc
    except msgspec.DecodeError as exc:
        raise BackupError(f"{path}: is no manifest of a backup: {exc}") from exc
    if manifest.format != FORMAT:
        raise BackupError(
            f"{path}: was written by another carrierd ({manifest.version}, format"
            f" {manifest.format}; this one knows {FORMAT}): use that version"
        )
    for entry in manifest.entries:
        place = PurePosixPath(entry.path)
        if place.is_absolute() or ".." in place.parts or not place.parts:
            raise BackupError(f"{path}: {entry.path!r} is no path within a backup")
    return manifest


def backups(directory: Path) -> list[Path]:
    """Those in a directory of backups, oldest first."""
    found = (path.parent for path in directory.glob(f"[0-9]*/{FILE}"))
    return sorted(path for path in found if _NAME.fullmatch(path.name))


def newest(where: Path) -> Path:
    """The backup at `where`, or the last of those in it; raises BackupError."""
    if (where / FILE).exists():
        return where
    found = backups(where)
    if not found:
        raise BackupError(f"{where}: there is no backup")
    return found[-1]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
