from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.numbers.normalise import Refusal, folded, normalise


@pytest.mark.parametrize(
    "raw",
    [
        "13912345678",
        "+8613912345678",
        "008613912345678",
        "8613912345678",
        "+86 139 1234 5678",
        "(+86) 139-1234-5678",
        "86.139.1234.5678",
        "139－1234－5678",
        "１３９１２３４５６７８",
        "＋８６１３９１２３４５６７８",
        "（+86）139\u30001234\u30005678",
        "[0086]139·1234·5678",
        "\t13912345678\n",
        "139\u20111234\u20115678",
        "139\u202f1234\u202f5678",  # a narrow no-break space
        "139\u20071234\u200a5678",
    ],
)
def test_every_spelling_folds_to_the_eleven_digits(raw: str) -> None:
    assert normalise(raw) == "13912345678"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "10086",
        "12912345678",  # no mobile number begins with 12
        "23912345678",
        "1391234567",
        "139123456789",
        "86139123456",
        "+861391234567",
        "+85291234567",
        "02812345678",
        "1391234567a",
        "13912345678;",
        "139/1234/5678",
        "++8613912345678",
        "13912345678+",
        "+86+8613912345678",
        "١٣٩١٢٣٤٥٦٧٨",  # digits, but not ours
        "13912345678,13812345678",
        "14212345678901",
        "1391234567890",
    ],
)
def test_what_is_no_mobile_number_is_refused(raw: str) -> None:
    assert normalise(raw) is Refusal.BAD_NUMBER


@pytest.mark.parametrize(
    "number",
    [
        "1440012345678",
        "1441012345678",
        "1480012345678",
        "1460012345678",
        "1400012345678",
        "1410012345678",
        "1064812345678",
        "1064612345678",
        "1064912345678",
    ],
)
def test_numbers_of_machines_have_their_own_reason(number: str) -> None:
    for raw in (number, "+86" + number, "86" + number, number[:4] + "-" + number[4:]):
        assert normalise(raw) is Refusal.IOT_NUMBER


def test_the_reasons_are_codes_of_the_report() -> None:
    assert {reason.value for reason in Refusal} == {"LOCAL:BAD_NUMBER", "LOCAL:IOT_NUMBER"}


def test_prefixes_that_nobody_was_given_are_not_malformed() -> None:
    for number in ("15412345678", "19412345678", "16412345678"):
        assert normalise(number) == number


@given(
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True),
    st.sampled_from(["", "86", "+86", "0086", "＋８６"]),
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(" -.()（）－．\u3000")), max_size=8),
)
def test_separators_anywhere_change_nothing(
    number: str, prefix: str, separators: list[tuple[int, str]]
) -> None:
    raw = prefix + number
    for place, separator in separators:
        raw = raw[:place] + separator + raw[place:]
    assert normalise(raw) == number


@given(st.text(max_size=30))
def test_nothing_makes_it_raise_and_the_result_is_in_one_form(raw: str) -> None:
    number = normalise(raw)
    assert isinstance(number, Refusal) or (len(number) == 11 and normalise(number) == number)


def test_numbers_of_carriers_that_are_no_mobile_numbers_stay_as_they_came() -> None:
    assert folded("8613912345678") == "13912345678"
    assert folded("10086") == "10086"
    assert folded("+85291234567") == "+85291234567"
