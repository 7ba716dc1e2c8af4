"""Makes the Java peers' fixture known to the tests of this directory."""

from __future__ import annotations

from tests.peers.fixture import java_peer

__all__ = ["java_peer"]
