"""What an SMPP account is made of: who we are, and how its message centre wants things."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..ids import Form
from . import status


@dataclass(slots=True, frozen=True)
class SmppAccount:
    """What the message centre agreed with us.

    Addresses default to what Chinese gateways take: unknown type and plan, the bare national
    number of 11 digits.  With `dest_ton` 1 the `dest_prefix` has to be "86".  `nul_terminated`
    ends short_message with a counted NUL, which some gateways expect.
    """

    login: str
    secret: str = field(repr=False)
    version: str = "3.4"
    mode: Literal["trx", "tx", "rx"] = "trx"
    system_type: str = ""
    service_id: str = ""
    address_range: str = ""
    source_ton: int = 0
    source_npi: int = 0
    dest_ton: int = 0
    dest_npi: int = 0
    dest_prefix: str = ""
    report_id: Form = "auto"
    throttle_codes: frozenset[int] = status.THROTTLED
    nul_terminated: bool = False
