"""SMGP status codes (SMGP 3.0.3, section 6.2.3): one table for all responses."""

from __future__ import annotations

from enum import IntEnum

THROTTLE_CODES = frozenset({1})
"""Submit answers that mean: the same again, but slower.

Per-second flow control has no code of its own; carriers that use a vendor code (128 to 255) need
it in the account's settings.
"""


class Status(IntEnum):
    OK = 0
    BUSY = 1
    TOO_MANY_CONNECTIONS = 2
    BAD_STRUCTURE = 10
    BAD_COMMAND = 11
    DUPLICATE_SEQUENCE = 12
    ADDRESS_NOT_ADMITTED = 20
    WRONG_SECRET = 21
    VERSION_TOO_HIGH = 22
    BAD_MSG_TYPE = 30
    BAD_PRIORITY = 31
    BAD_FEE_TYPE = 32
    BAD_FEE_CODE = 33
    BAD_MSG_FORMAT = 34
    BAD_TIME = 35
    BAD_LENGTH = 36
    EXPIRED = 37
    BAD_QUERY_TYPE = 38
    NO_ROUTE = 39
    BAD_FIXED_FEE = 40
    BAD_SERVICE_ID = 43
    BAD_VALID_TIME = 44
    BAD_AT_TIME = 45
    BAD_SRC_TERM_ID = 46
    BAD_DEST_TERM_ID = 47
    BAD_CHARGE_TERM_ID = 48
    BAD_SP_CODE = 49
    DAILY_VOLUME = 75
    ACCOUNT_EXPIRED = 76


MEANINGS: dict[int, str] = {
    0: "accepted",
    1: "the system is busy",
    2: "too many connections",
    3: "the login is wrong, by CMPP's numbering",
    10: "the structure of the message is wrong",
    11: "the command is wrong",
    12: "the sequence number was used before",
    20: "this network address is not admitted",
    21: "the shared secret is wrong or the clocks differ",
    22: "the version is too high",
    30: "MsgType is wrong",
    31: "Priority is wrong",
    32: "FeeType is wrong",
    33: "FeeCode is wrong",
    34: "MsgFormat is wrong",
    35: "the time format is wrong",
    36: "the message length is wrong",
    37: "the validity is over",
    38: "the query type is wrong",
    39: "routing error",
    40: "FixedFee is wrong",
    41: "the update type is wrong",
    42: "the route number is wrong",
    43: "ServiceID is wrong",
    44: "ValidTime is wrong",
    45: "AtTime is wrong",
    46: "SrcTermID is wrong",
    47: "DestTermID is wrong",
    48: "ChargeTermID is wrong",
    49: "the SP code is wrong",
    73: "MServiceID is wrong",
    74: "nothing may be sent at this time of day",
    75: "over the volume of the day",
    76: "the account has expired",
}

CONFIGURATION = frozenset({3, 10, 11, 20, 21, 22, 49, 76})
"""Login refusals that the same login will only meet again; SMSGate's server says 3 for 21."""


def reason(status: int) -> str:
    return MEANINGS.get(status, f"status {status}")


def worth_retrying(status: int) -> bool:
    """Whether the same login may succeed later."""
    return status not in CONFIGURATION
