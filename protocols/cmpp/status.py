"""CMPP results and what they mean for whoever gets them (CMPP 3.0.0, sections 7.4.1 to 7.4.5)."""

from __future__ import annotations

from enum import IntEnum

from ..events import Fate

THROTTLE_CODES = frozenset({8})
"""Submit results that mean: the same again, but slower."""


class Connect(IntEnum):
    """Status of a Connect_Resp."""

    OK = 0
    BAD_STRUCTURE = 1
    BAD_SOURCE_ADDRESS = 2
    WRONG_SECRET = 3
    VERSION_TOO_HIGH = 4
    OTHER = 5


class Result(IntEnum):
    """Result of a Submit_Resp and of a Deliver_Resp, as far as the specification goes."""

    OK = 0
    BAD_STRUCTURE = 1
    BAD_COMMAND = 2
    DUPLICATE_SEQUENCE = 3
    BAD_LENGTH = 4
    BAD_FEE_CODE = 5
    TOO_LONG = 6
    BAD_SERVICE_ID = 7
    FLOW_CONTROL = 8
    FEE_NUMBER_NOT_SERVED = 9
    BAD_SRC_ID = 10
    BAD_MSG_SRC = 11
    BAD_FEE_TERMINAL_ID = 12
    BAD_DEST_TERMINAL_ID = 13


CONNECT_MEANINGS: dict[int, str] = {
    0: "accepted",
    1: "the structure of the login is wrong",
    2: "the source address is wrong or its network address is not admitted",
    3: "the shared secret is wrong or the clocks differ",
    4: "the version is too high",
    5: "other error",
    55: "the system has no connection left",
    56: "the account has no connection left",
    57: "this network address is not admitted",
    58: "a thread of the server failed",
    60: "the account is not on this proxy",
}
"""From 55 on not in the specification: a widespread gateway vendor's list."""

CONFIGURATION = frozenset({1, 2, 3, 4, 57, 60})
"""Login refusals that the same login will only meet again."""

RESULT_MEANINGS: dict[int, str] = {
    0: "accepted",
    1: "the structure of the message is wrong",
    2: "the command is wrong",
    3: "the sequence number was used before",
    4: "the message length is wrong",
    5: "the fee code is wrong",
    6: "the message is too long",
    7: "the service code is wrong",
    8: "flow control",
    9: "this gateway does not serve the fee number",
    10: "Src_Id is wrong",
    11: "Msg_src is wrong",
    12: "Fee_terminal_Id is wrong",
    13: "Dest_terminal_Id is wrong",
}

FATES: dict[str, Fate] = {
    "DELIVRD": Fate.DELIVERED,
    "ACCEPTD": Fate.INTERMEDIATE,
    "ENROUTE": Fate.INTERMEDIATE,
}
"""Stat words; every other one is a failure (section 8, table of Stat)."""


def connect_reason(status: int) -> str:
    return CONNECT_MEANINGS.get(status, f"status {status}")


def worth_retrying(status: int) -> bool:
    """Whether the same login may succeed later."""
    return status not in CONFIGURATION
