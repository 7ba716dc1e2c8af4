"""What a carrier gives us to log in to CMPP and to be billed by."""

from __future__ import annotations

from dataclasses import dataclass, field

from .status import THROTTLE_CODES


@dataclass(slots=True, frozen=True)
class CmppAccount:
    """One set of credentials and how its gateway wants things spelled.

    `version` is "2.0" or "3.0". `msg_src` is the enterprise code, `source_addr` again when empty.
    `udhi` is what TP_udhi says of a part with a user data header (1, or 64 at some gateways).
    `md5_pad` pads the address inside the login digest. `throttle_codes` are all the results that
    mean "slower". The fee fields' defaults are a message that the subscriber pays nothing for.
    """

    source_addr: str
    secret: str = field(repr=False)
    version: str = "3.0"
    service_id: str = ""
    msg_src: str = ""
    udhi: int = 1
    md5_pad: bool = False
    throttle_codes: frozenset[int] = THROTTLE_CODES
    msg_level: int = 0
    fee_user_type: int = 2
    fee_type: str = "01"
    fee_code: str = "000000"
