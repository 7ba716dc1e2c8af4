"""Puts this process behind a unit's filters of system calls, as systemd does: by libseccomp.

SystemCallFilter=, MemoryDenyWriteExecute= and RestrictAddressFamilies= are read from the unit; what
is refused is answered with the unit's error number, as in the service.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import socket
import subprocess
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

ALLOW = 0x7FFF0000
MASKED_EQ, EQ = 7, 4
FAMILIES = 46
"""Numbers of address families that the kernel has."""


class Compare(ctypes.Structure):
    """An argument of a call, and what it is compared with (scmp_arg_cmp)."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def settings(unit: Path, key: str) -> list[str]:
    """The words of all lines of a unit that set this key, in order."""
    lines = unit.read_text().splitlines()
    return [
        word
        for line in lines
        if line.startswith(f"{key}=")
        for word in line[len(key) + 1 :].split()
    ]


def allowed(unit: Path) -> set[str]:
    """The names of the calls that SystemCallFilter= leaves; `@default` always is among them."""
    names = set(_expanded("@default"))
    removes = False
    for line in (
        line for line in unit.read_text().splitlines() if line.startswith("SystemCallFilter=")
    ):
        value = line.partition("=")[2]
        removes = value.startswith("~")
        for word in value.removeprefix("~").split():
            if removes:
                names -= set(_expanded(word))
            else:
                names |= set(_expanded(word))
    return names


def _expanded(word: str) -> Iterator[str]:
    if not word.startswith("@"):
        yield word
        return
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True
    ).stdout
    for line in said.splitlines()[1:]:
        if (name := line.strip()) and not name.startswith("#"):
            yield from _expanded(name)


def confine(unit: Path, names: set[str]) -> None:
    """From here to the end of the process.  `names` is `allowed(unit)`, asked for before."""
    library = ctypes.CDLL(find_library("seccomp") or "libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    refuse = _errno(getattr(errno, settings(unit, "SystemCallErrorNumber")[0]))
    calls = library.seccomp_init(refuse)
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # a call of another architecture has none
            _rule(library, calls, ALLOW, number)
    families = library.seccomp_init(ALLOW)
    kept = {getattr(socket, name) for name in settings(unit, "RestrictAddressFamilies")}
    for family in set(range(FAMILIES)) - kept:
        _rule(library, families, _errno(errno.EAFNOSUPPORT), "socket", Compare(0, EQ, family, 0))
    memory = library.seccomp_init(ALLOW)
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        _rule(library, memory, _errno(errno.EPERM), "mmap", Compare(2, MASKED_EQ, both, both))
        for name in ("mprotect", "pkey_mprotect"):
            executable = Compare(2, MASKED_EQ, mmap.PROT_EXEC, mmap.PROT_EXEC)
            _rule(library, memory, _errno(errno.EPERM), name, executable)
    for context in (memory, families, calls):  # the last one may refuse to load another
        if code := library.seccomp_load(ctypes.c_void_p(context)):
            raise OSError(-code, "the filter cannot be loaded")


def _errno(number: int) -> int:
    return 0x00050000 | number


def _rule(
    library: ctypes.CDLL, context: int, action: int, call: str | int, *compare: Compare
) -> None:
    number = library.seccomp_syscall_resolve_name(call.encode()) if isinstance(call, str) else call
    array = (Compare * len(compare))(*compare)
    code = library.seccomp_rule_add_array(
        ctypes.c_void_p(context), ctypes.c_uint32(action), number, len(compare), array
    )
    if code:
        raise OSError(-code, f"no rule for {call}")
