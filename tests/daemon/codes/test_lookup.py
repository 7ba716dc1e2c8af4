from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.codes.lookup import LAST_RESORT, Codes
from daemon.codes.table import CAUSES, Row

CODES = Codes()
LOCAL = (
    "BAD_NUMBER IOT_NUMBER DUPLICATE NO_ROUTE ACCOUNT EXT ENCODING STOPPED QUEUE_EXPIRED NO_REPORT"
    " NO_RESP"
)


def spelled(row: Row, key: str) -> tuple[str, str, str]:
    """Protocol, stage and code with which an event would ask for `key`."""
    named = sorted(row.protocols & {"cmpp", "sgip", "smgp", "smpp"})
    protocol = named[0] if named else "cmpp"
    stage = "gate" if row.stage == "local" else row.stage
    for prefix in (
        "CMPP.RESULT:",
        "CMPP.CONNECT:",
        "SGIP.RESULT:",
        "SMGP.STATUS:",
        "SMPP.STATUS:",
        "SGIP:",
    ):
        if key.startswith(prefix):
            return protocol, stage, key.removeprefix(prefix)
    if key.startswith("SGIP.STATE:"):
        return protocol, stage, key.removeprefix("SGIP.STATE:")
    if key.startswith("SMGP.ERR:"):
        return protocol, stage, "NOWORD/" + key.removeprefix("SMGP.ERR:")
    return protocol, stage, key


@pytest.mark.parametrize(
    "row",
    [row for row in CODES.rows if row.pattern is None and row.code != "SGIP.STATE:1"],
    ids=lambda row: f"{row.carrier}-{'|'.join(sorted(row.protocols))}-{row.stage}-{row.code}",
)
def test_every_code_finds_its_own_row(row: Row) -> None:
    found = CODES.row(row.carrier, *spelled(row, row.code))
    if row.meaning.cause == "unknown" and row.code.startswith("SMGP.ERR:"):
        assert found.meaning.cause == "unknown"  # the word may be asked instead
    elif "platform" in row.protocols:
        assert found.code == row.code or found.pattern is not None
    else:
        assert found is row


@pytest.mark.parametrize(
    "row",
    [row for row in CODES.rows if row.pattern is not None],
    ids=lambda row: row.code,
)
def test_what_a_pattern_matches_finds_it_or_a_more_specific_row(row: Row) -> None:
    assert row.pattern is not None

    @settings(max_examples=20, database=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(row.pattern, fullmatch=True))
    def check(key: str) -> None:
        found = CODES.row(row.carrier, *spelled(row, key))
        if found.pattern is not None and not key.startswith("SMGP.ERR:"):
            assert found is row or len(found.code) >= len(row.code) or "platform" in row.protocols
        assert found.meaning.cause in CAUSES

    check()


@pytest.mark.parametrize("name", LOCAL.split())
def test_every_code_of_our_own_has_a_meaning_at_any_stage(name: str) -> None:
    for stage in ("gate", "submit", "report"):
        row = CODES.row("mobile", "cmpp", stage, f"LOCAL:{name}")
        assert row.code == f"LOCAL:{name}"
        assert not row.meaning.retryable


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("BAD_NUMBER", "sender"),
        ("IOT_NUMBER", "sender"),
        ("NO_ROUTE", "route"),
        ("ENCODING", "sender"),
        ("STOPPED", "sender"),
        ("QUEUE_EXPIRED", "route"),
        ("NO_REPORT", "unknown"),
    ],
)
def test_our_own_codes_have_sensible_causes(name: str, cause: str) -> None:
    assert CODES.look("mobile", "cmpp", "gate", f"LOCAL:{name}").cause == cause


# Protocol, stage, code as events spell it, cause, retryable: from the carriers' own documents.
@pytest.mark.parametrize(
    ("protocol", "stage", "code", "cause", "retryable"),
    [
        ("cmpp", "report", "DELIVRD", "delivered", False),
        ("cmpp", "report", "EXPIRED", "absent", False),
        ("cmpp", "report", "MK:0001", "unknown_number", False),
        ("cmpp", "report", "MI:0024", "absent", True),
        ("cmpp", "report", "MK:9998", "unknown", False),
        ("cmpp", "report", "ID:0076", "content", False),
        ("cmpp", "submit", "8", "flow", True),
        ("cmpp", "submit", "9", "route", True),
        ("cmpp", "submit", "13", "unknown_number", False),
        ("cmpp", "submit", "76", "content", False),
        ("cmpp", "submit", "99", "unknown", False),
        ("cmpp", "bind", "3", "sender", False),
        ("sgip", "report", "0", "delivered", False),
        ("sgip", "report", "29", "unknown_number", False),
        ("sgip", "report", "26", "memory", True),
        ("sgip", "report", "250", "unknown", False),
        ("sgip", "submit", "88", "flow", True),
        ("sgip", "submit", "29", "unknown_number", False),
        ("sgip", "bind", "1", "sender", False),
        ("smgp", "report", "DELIVRD", "delivered", False),
        ("smgp", "report", "DELIVRD/000", "delivered", False),
        ("smgp", "report", "UNDELIV/005", "blacklist", False),
        ("smgp", "report", "UNDELIV/5", "blacklist", False),
        ("smgp", "report", "EXPIRED/123", "absent", False),
        ("smgp", "report", "UNDELIV/999", "unknown", False),
        ("smgp", "report", "UNDELIV/MK:0001", "unknown_number", False),
        ("smgp", "submit", "1", "flow", True),
        ("smgp", "submit", "75", "flow", False),
        ("smgp", "submit", "200", "unknown", False),
        ("smgp", "bind", "21", "sender", False),
        ("smpp", "report", "UNDELIV", "unknown", False),
        ("smpp", "submit", "0x00000058", "flow", True),
        ("smpp", "submit", "0x00000014", "flow", True),
        ("smpp", "submit", "0x0000000B", "sender", False),
        ("smpp", "submit", "0x00000435", "blacklist", False),
        ("smpp", "submit", "0x00000999", "unknown", False),
    ],
)
def test_codes_mean_what_the_documents_say(
    protocol: str, stage: str, code: str, cause: str, retryable: bool
) -> None:
    for carrier in ("mobile", "broadnet"):  # a protocol's rows hold whoever speaks it
        meaning = CODES.look(carrier, protocol, stage, code)
        assert (meaning.cause, meaning.retryable) == (cause, retryable)


def test_words_of_aggregators_and_of_other_protocols_are_understood_at_reports_only() -> None:
    assert CODES.look("mobile", "cmpp", "report", "MX:0004").cause == "content"
    assert CODES.look("mobile", "smpp", "report", "MK:0001").cause == "unknown_number"
    assert CODES.look("mobile", "smpp", "submit", "MK:0001").cause == "unknown"


@given(
    st.text(max_size=8),
    st.sampled_from(["cmpp", "sgip", "smgp", "smpp", "other"]),
    st.sampled_from(["report", "submit", "bind", "gate"]),
    st.text(max_size=12),
)
def test_nothing_makes_it_raise(carrier: str, protocol: str, stage: str, code: str) -> None:
    assert CODES.look(carrier, protocol, stage, code).cause in CAUSES


def test_what_nobody_listed_is_the_last_resort() -> None:
    assert CODES.row("mobile", "cmpp", "report", "zz9").code == LAST_RESORT
    assert CODES.row("mobile", "cmpp", "gate", "LOCAL:ELSE").code == LAST_RESORT


def test_a_second_look_is_the_same_object() -> None:
    first = CODES.look("mobile", "cmpp", "report", "MK:0001")
    assert CODES.look("mobile", "cmpp", "report", "MK:0001") is first


def overridden(tmp_path: Path, *lines: str) -> Codes:
    path = tmp_path / "codes.tsv"
    head = "carrier\tprotocol\tstage\tcode\tcause\tretryable\tfault\tzh\ten"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return Codes(path)


def test_the_operators_row_comes_before_ours(tmp_path: Path) -> None:
    codes = overridden(tmp_path, "any\tcmpp\tsubmit\tCMPP.RESULT:9\tabsent\tn\tsubscriber\t\tours")
    assert codes.look("mobile", "cmpp", "submit", "9") == (
        "absent",
        False,
        "subscriber",
        "",
        "ours",
    )
    assert codes.look("mobile", "cmpp", "submit", "8").cause == "flow"


def test_the_operators_row_for_one_carrier_leaves_the_others_alone(tmp_path: Path) -> None:
    codes = overridden(tmp_path, "telecom\tcmpp\tsubmit\tCMPP.RESULT:9\tabsent\tn\t-\t\t")
    assert codes.look("telecom", "cmpp", "submit", "9").cause == "absent"
    assert codes.look("mobile", "cmpp", "submit", "9").cause == "route"


def test_the_operators_pattern_is_only_for_what_no_row_names(tmp_path: Path) -> None:
    codes = overridden(tmp_path, "any\tsmgp\tsubmit\tre:SMGP.STATUS:1[0-9][0-9]\tflow\ty\t-\t\t")
    assert codes.look("telecom", "smgp", "submit", "101").cause == "flow"
    assert codes.look("telecom", "smgp", "submit", "1").en != ""
    assert codes.look("telecom", "smgp", "submit", "21").cause == "sender"


def test_the_last_resort_can_be_the_operators(tmp_path: Path) -> None:
    codes = overridden(tmp_path, "any\tany\treport\tre:^.*$\troute\tn\tcarrier\t\t")
    assert codes.look("mobile", "cmpp", "report", "zz9").cause == "route"


def test_the_same_carriers_row_comes_first(tmp_path: Path) -> None:
    codes = overridden(
        tmp_path,
        "unicom\tany\treport\tQQ:1\tflow\tn\t-\t\t",
        "any\tany\treport\tQQ:1\tcontent\tn\t-\t\t",
        "mobile\tany\treport\tQQ:1\troute\tn\t-\t\t",
    )
    assert codes.look("mobile", "cmpp", "report", "QQ:1").cause == "route"
    assert codes.look("unicom", "cmpp", "report", "QQ:1").cause == "flow"
    assert codes.look("telecom", "cmpp", "report", "QQ:1").cause == "content"
