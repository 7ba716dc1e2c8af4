"""Frames that are nearly right: golden ones with their lengths, counts and contents bent."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

LENGTHS = (0, 1, 11, 12, 15, 16, 19, 20, 21, 255, 256, 4096, 4097, 16385, 0x11000, 0x11001,
           0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)  # fmt: skip
OCTETS = (0, 1, 2, 0x20, 0x40, 0x7F, 0x80, 0xA0, 0xFE, 0xFF)
TOKENS = (b"id:", b" sub:001", b" stat:", b"stat:DELIVRD", b" err:", b" text:", b"\0", b"Stat:",
          b"done date:", b"\x05\x00\x03", b"\x06\x08\x04", b"\xd8\x00", b"\x1b")  # fmt: skip
TAGS = (0x0001, 0x0002, 0x0003, 0x000A, 0x001E, 0x020C, 0x020E, 0x020F, 0x0424, 0x0427, 0x1400)
"""Of SMGP and SMPP: those that are read, and one of nobody's."""
LONGEST_MADE = 3000
"""Octets; longer ones cost time and find nothing new."""


class Mutator:
    """One protocol's frames, bent in one way after another by `chance`.

    `sequence_at` and `sequence_size` say where a header has its sequence.
    """

    def __init__(
        self,
        frames: Sequence[bytes],
        commands: Sequence[int],
        sequence_at: int,
        sequence_size: int,
        chance: random.Random,
    ) -> None:
        self.frames = frames
        self.answers = [frame for frame in frames if frame[4:5] == b"\x80"] or frames
        self.commands = commands
        self.sequence_at = sequence_at
        self.sequence_size = sequence_size
        self.chance = chance
        self.pending: Sequence[bytes] = ()
        """Sequences that wait for their answer: what a forged answer would name."""
        self._ways: tuple[Callable[[bytearray], None], ...] = (
            self._flip, self._flip, self._octet, self._octet, self._octet, self._cut, self._grow,
            self._splice, self._splice, self._storm, self._repeat, self._delete, self._token,
            self._token, self._command, self._answer, self._answer, self._answer, self._number,
        )  # fmt: skip

    def below(self, limit: int) -> int:
        return int(self.chance.random() * limit)

    def valid(self) -> bytes:
        return self.frames[self.below(len(self.frames))]

    def forged(self) -> bytes:
        """A sound answer to something that is really waiting for one, if anything is."""
        frame = bytearray(self.answers[self.below(len(self.answers))])
        self._answer(frame)
        return bytes(frame)

    def mutant(self) -> bytes:
        """A golden frame after one to three changes; one in thirty lies about its length."""
        while True:
            source = self.valid()
            frame = self._bent(bytearray(source))
            if frame != source:
                return bytes(frame)

    def _bent(self, frame: bytearray) -> bytearray:
        dice = self.chance.random()
        for _ in range(1 if dice < 0.7 else 2 if dice < 0.9 else 3):
            self._ways[self.below(len(self._ways))](frame)
        del frame[LONGEST_MADE:]
        if len(frame) >= 4:
            length = len(frame)
            if self.chance.random() < 0.033:
                length = self._lie(length)
            struct.pack_into("!I", frame, 0, length)
        return frame

    def _lie(self, length: int) -> int:
        if self.chance.random() < 0.5:
            return max(0, length + self.below(9) - 4)
        return LENGTHS[self.below(len(LENGTHS))]

    def _flip(self, frame: bytearray) -> None:
        for _ in range(1 + self.below(4)):
            at = self.below(len(frame))
            frame[at] ^= 1 << self.below(8)

    def _octet(self, frame: bytearray) -> None:
        """Any octet may be a count, a length, a type or a coding."""
        at = 4 + self.below(max(1, len(frame) - 4))
        if at < len(frame):
            frame[at] = OCTETS[self.below(len(OCTETS))]

    def _cut(self, frame: bytearray) -> None:
        del frame[self.sequence_at + self.below(len(frame)) :]

    def _grow(self, frame: bytearray) -> None:
        frame += self.chance.randbytes(1 + self.below(60))

    def _splice(self, frame: bytearray) -> None:
        other = self.valid()
        frame[4 + self.below(len(frame)) :] = other[self.below(len(other)) :]

    def _storm(self, frame: bytearray) -> None:
        """Optional parameters, many and repeated, some with lengths that lie."""
        for _ in range(1 + self.below(12)):
            tag = TAGS[self.below(len(TAGS))]
            value = self.chance.randbytes(self.below(6))
            said = len(value) if self.chance.random() < 0.9 else self.below(0x10000)
            frame += struct.pack("!HH", tag, said) + value

    def _repeat(self, frame: bytearray) -> None:
        start = self.below(len(frame))
        piece = frame[start : start + 1 + self.below(40)]
        frame[start:start] = piece * (1 + self.below(4))

    def _delete(self, frame: bytearray) -> None:
        start = 4 + self.below(len(frame))
        del frame[start : start + 1 + self.below(20)]

    def _token(self, frame: bytearray) -> None:
        at = min(len(frame), self.sequence_at + self.below(len(frame)))
        token = TOKENS[self.below(len(TOKENS))]
        if self.chance.random() < 0.5:
            frame[at : at + len(token)] = token
        else:
            frame[at:at] = token

    def _command(self, frame: bytearray) -> None:
        if len(frame) >= 8:
            command = self.commands[self.below(len(self.commands))]
            struct.pack_into("!I", frame, 4, command)

    def _answer(self, frame: bytearray) -> None:
        """It names a request that is really waiting."""
        end = self.sequence_at + self.sequence_size
        if self.pending and len(frame) >= end:
            frame[self.sequence_at : end] = self.pending[self.below(len(self.pending))]

    def _number(self, frame: bytearray) -> None:
        end = self.sequence_at + self.sequence_size
        if len(frame) >= end:
            frame[self.sequence_at : end] = self.chance.randbytes(self.sequence_size)
