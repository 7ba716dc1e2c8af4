"""The instructions of a Dockerfile, as far as ours goes: no heredocs, no escapes but line ends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """`value` is the rest of the line, continuations joined."""

    stage: int
    """From 0; what stands before the first FROM has -1."""
    word: str
    value: str

    @property
    def exec(self) -> list[str]:
        """The JSON form, of the end of the line where flags come first."""
        found: list[str] = json.loads(self.value[self.value.index("[") :])
        return found


def instructions(file: Path) -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE)
    stage = -1
    found = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            word, _, value = line.partition(" ")
            stage += word == "FROM"
            found.append(Instruction(stage, word, value.strip()))
    return found
