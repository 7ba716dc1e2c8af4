"""SGIP 1.2 results (table 5-2), those of 1.3, and those that gateways really send."""

from __future__ import annotations

THROTTLED = frozenset({11, 33, 88})
"""Node busy; over the flow of this second (1.2: message centre queue full); over the maximum."""

OK = 0
ILLEGAL_LOGIN = 1
REPEATED_LOGIN = 2
WRONG_LOGIN_TYPE = 4
BAD_PARAMETER = 5
ILLEGAL_NUMBER = 6
BAD_LENGTH = 8
BAD_SEQUENCE = 9
CHARGE_NUMBER = 24
BAD_UDHI = 54
CORP_ID = 101
SP_NUMBER = 102
SERVICE_CODE = 103

MEANINGS: dict[int, str] = {
    0: "ok",
    1: "illegal login: name or password",
    2: "login repeated on one connection",
    3: "too many connections",
    4: "wrong login type",
    5: "parameter format",
    6: "illegal number",
    7: "bad message id",
    8: "bad length",
    9: "bad sequence",
    10: "illegal GNS operation",
    11: "node busy",
    12: "empty number",
    13: "service code not assigned",
    14: "wrong fee type",
    17: "LinkID mismatch",
    18: "not subscribed",
    19: "more than one user number",
    21: "destination node unreachable for now",
    22: "routing error",
    23: "no route",
    24: "charge number invalid",
    25: "user unreachable",
    26: "handset memory full",
    27: "handset does not take short messages",
    28: "handset reception error",
    29: "unknown user",
    30: "function not provided",
    31: "illegal device",
    32: "system failure",
    33: "over the flow of this second, or queue full",
    34: "too many logins per minute, or charging failed",
    50: "content illegal",
    51: "not connected",
    52: "user cannot receive",
    53: "sending failed",
    54: "no answer in time; often a wrong TP_udhi",
    55: "no report in time",
    56: "user state abnormal",
    57: "login from a foreign address",
    64: "source address refused",
    66: "ten messages already waiting",
    69: "user on the blacklist",
    70: "connection lost",
    71: "too many nodes on the way",
    72: "no route",
    76: "content refused",
    77: "over the submit quota",
    83: "longer than the receiving side takes",
    85: "management platform busy",
    86: "management platform full",
    87: "management platform flow control",
    88: "over the maximum flow",
    90: "packet length, or waiting",
    91: "report flag wrong",
    92: "MT flag wrong",
    93: "SP node id wrong",
    94: "account not configured",
    101: "SPNumber and CorpId do not match",
    102: "SPNumber invalid",
    103: "service code invalid",
    104: "fee type invalid",
    105: "rate invalid",
    106: "not ordered",
    107: "LinkID invalid",
    108: "user suspended",
    109: "charge number invalid",
    110: "user on the blacklist",
    111: "management platform timeout",
    112: "too many messages for one LinkID",
    113: "empty field, or fee cap",
    114: "UserCount must be 1",
    115: "MorelatetoMTFlag must not be 3",
    182: "over the daily volume",
    255: "unknown",
}

HOPELESS_LOGINS = frozenset({ILLEGAL_LOGIN, WRONG_LOGIN_TYPE, 93, 94})
"""Credentials or configuration: the same login will be refused again."""


def meaning(result: int) -> str:
    return MEANINGS.get(result, f"result {result}")
