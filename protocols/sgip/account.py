"""What an SGIP account is made of: who we are, and how its gateway wants things."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import status


@dataclass(slots=True, frozen=True)
class SgipAccount:
    """What the carrier agreed with us.

    `node_id` is 3AAAAQQQQQ: area code and enterprise code.  The charging fields default to what a
    message free for its recipient has: 21 zeros mean that we pay.  `udhi` is what this gateway
    wants in TP_udhi before a user data header.
    """

    login: str
    secret: str = field(repr=False)
    node_id: int
    corp_id: str
    service_id: str = ""
    version: str = "1.2"
    udhi: int = 1
    throttle_codes: frozenset[int] = status.THROTTLED
    charge_number: str = "0" * 21
    fee_type: int = 1
    fee_value: str = "0"
    given_value: str = "0"
    mt_flag: int = 2
