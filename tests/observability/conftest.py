"""Where Prometheus is not installed its tests are skipped; in CI they fail, by an environment
variable.
"""

from __future__ import annotations

import pytest

from . import prometheus


@pytest.fixture(scope="session")
def promtool() -> None:
    """Demands Prometheus and promtool."""
    reason = prometheus.missing()
    if reason is None:
        return
    if prometheus.required():
        pytest.fail(f"{prometheus.REQUIRE}=1, but {reason}", pytrace=False)
    pytest.skip(f"needs Debian's package prometheus: {reason}")
