"""The fixture of the Java peers: where they cannot run, a test is skipped, in CI it fails."""

from __future__ import annotations

import os

import pytest

from tests.peers import java


@pytest.fixture(scope="session")
def java_peer() -> type[java.JavaPeer]:
    """The JavaPeer class, with its programs built.

    Without Java or Maven, or with Maven unable to fetch the libraries, the test is skipped; with
    CARRIERD_REQUIRE_PEERS=1 in the environment, as in CI, it fails.
    """
    reason = java.missing()
    if reason is None:
        try:
            java.built()
        except java.CannotBuildError as error:
            reason = f"Maven cannot fetch what the Java peers need: {error}"
    if reason is not None:
        if os.environ.get("CARRIERD_REQUIRE_PEERS") == "1":
            pytest.fail(f"CARRIERD_REQUIRE_PEERS=1, but {reason}", pytrace=False)
        pytest.skip(f"independent peers need Java and Maven: {reason}")
    return java.JavaPeer
