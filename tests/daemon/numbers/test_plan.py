from __future__ import annotations

import csv
from pathlib import Path

import pytest

from daemon.numbers import plan as plan_module
from daemon.numbers.normalise import normalise
from daemon.numbers.plan import CARRIERS, NONE, Plan, PlanError

OWN = Path(plan_module.__file__).with_name("plan.tsv")


# One of each block in the public plan, typed by hand: the table must not be its own witness.
@pytest.mark.parametrize(
    ("prefixes", "carrier"),
    [
        (
            "1340 1345 1348 135 139 147 150 152 157 159 172 178 182 184 187 188 195 197 198",
            "mobile",
        ),
        ("165 1703 1705 1706", "mobile"),
        ("130 132 145 155 156 166 175 176 185 186 196 167 171 1704 1707 1708 1709", "unicom"),
        ("133 1349 149 153 173 1740 1745 177 180 181 189 190 191 193 199", "telecom"),
        ("162 1700 1701 1702", "telecom"),
        ("192 1610", "broadnet"),
        ("154 194 142 143 160 1611 163 164 168 169 179 1749 17406 17412 140 144 146 148", None),
    ],
)
def test_blocks_belong_to_the_carrier_they_were_given_to(
    prefixes: str, carrier: str | None
) -> None:
    plan = Plan()
    for prefix in prefixes.split():
        for filler in "0", "5", "9":
            number = prefix.ljust(11, filler)
            if number[:5] in {"17400", "17405", "17409"} and prefix == "1740" and filler == "9":
                continue  # 17409 is an emergency block
            assert plan.carrier(number) == carrier, number


def test_what_three_digits_settle_is_what_all_of_them_do(tmp_path: Path) -> None:
    override = tmp_path / "prefixes.tsv"
    override.write_text("106\tmobile\n120\tunicom\n154\tmobile\n192\t-\n1358\tbroadnet\n")
    plan = Plan(override)
    assert {"134", "135", "170", "192", "106", "120"}.isdisjoint(plan.known)
    assert plan.known["154"] == "mobile"
    for prefix, carrier in plan.known.items():
        for number in (prefix.ljust(11, "0"), prefix.ljust(11, "9")):
            assert normalise(number) == number
            assert plan.carrier(number) == carrier


def test_every_row_has_a_prefix_a_carrier_a_source_and_a_date() -> None:
    with OWN.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if not row[0].startswith("#")]
    assert len(rows) == len(Plan()) == len({row[0] for row in rows})
    for prefix, carrier, source, date in rows:
        assert prefix.isdigit()
        assert carrier in (*CARRIERS, NONE)
        assert source
        assert len(date) == len("2026-01-01")


def test_the_operators_rows_go_over_ours_and_longer_ones_win(tmp_path: Path) -> None:
    override = tmp_path / "prefixes.tsv"
    override.write_text(
        "# ours\n139\tunicom\n1391234\ttelecom\tported block\n154\tmobile\n\n192\t-\n"
        "1358\tmobile\n1358\tbroadnet\n"
    )
    plan = Plan(override)
    assert plan.carrier("13900000000") == "unicom"
    assert plan.carrier("13912340000") == "telecom"
    assert plan.carrier("15400000000") == "mobile"
    assert plan.carrier("19200000000") is None
    assert plan.carrier("13580000000") == "broadnet"
    assert plan.carrier("13570000000") == "mobile"
    assert plan.carrier("18600000000") == "unicom"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("139\tunicom\n13\tmobile\n", ":2: prefix: '13' is not 3 to 11 digits"),
        ("abc\tmobile\n", ":1: prefix: 'abc' is not 3 to 11 digits"),
        ("１３９\tmobile\n", ":1: prefix: '１３９' is not"),
        (
            "139\tcmcc\n",
            ":1: carrier: 'cmcc' is not one of mobile, unicom, telecom, broadnet or -",
        ),
        ("139 mobile\n", ":1: prefix: '139 mobile' is not"),
        ("139\n", ":1: carrier: '' is not one of"),
    ],
)
def test_a_wrong_row_is_named_with_its_place(tmp_path: Path, text: str, error: str) -> None:
    override = tmp_path / "prefixes.tsv"
    override.write_text(text)
    with pytest.raises(PlanError) as caught:
        Plan(override)
    assert str(caught.value).startswith(f"{override}{error}")


def test_a_file_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    override = tmp_path / "prefixes.tsv"
    override.write_bytes("139\tmobile\t移动\n".encode("gbk"))
    with pytest.raises(PlanError, match="not UTF-8"):
        Plan(override)
