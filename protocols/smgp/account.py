"""What a carrier gives us to log in to SMGP and to be billed by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .status import THROTTLE_CODES

Mode = Literal["trx", "tx", "rx"]

LOGIN_MODES: dict[str, int] = {"tx": 0, "rx": 1, "trx": 2}


@dataclass(slots=True, frozen=True)
class SmgpAccount:
    """One set of credentials and how its gateway wants things spelled.

    `mode` is what this connection is for: to send, to receive, or both. `msg_src` (the enterprise
    code) and `m_service_id` become optional parameters when given. `udhi` is what TP_udhi says of
    a part with a user data header. `md5_pad` pads the id inside the login digest.
    `throttle_codes` are all the results that mean "slower". The fee fields' defaults are a message
    that the subscriber pays nothing for.
    """

    client_id: str
    secret: str = field(repr=False)
    version: str = "3.0"
    mode: Mode = "trx"
    service_id: str = ""
    msg_src: str = ""
    m_service_id: str = ""
    udhi: int = 1
    md5_pad: bool = False
    throttle_codes: frozenset[int] = THROTTLE_CODES
    priority: int = 1
    fee_type: str = "00"
    fee_code: str = "000000"
    fixed_fee: str = "000000"
