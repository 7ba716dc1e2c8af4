"""Where simulated gateways may listen and dial: they say yes to everyone."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """A literal address; names other than localhost may lead anywhere."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
