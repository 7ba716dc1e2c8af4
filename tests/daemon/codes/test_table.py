from __future__ import annotations

import re
from pathlib import Path

import pytest

from daemon.codes import lookup
from daemon.codes.lookup import Codes
from daemon.codes.table import CAUSES, CodesError, rows

CONTRACT = (
    "delivered absent unknown_number suspended blacklist content flow signature route memory"
    " handset sender unknown"
)
OWN = Path(lookup.__file__).with_name("codes.tsv")


def test_every_row_loads_and_says_a_cause_of_the_closed_set() -> None:
    loaded = list(rows(OWN))
    lines = OWN.read_text(encoding="utf-8").splitlines()
    assert len(loaded) == len(lines) - 1 > 900
    assert {row.meaning.cause for row in loaded} == set(CAUSES)
    assert " ".join(CAUSES) == CONTRACT
    assert all(row.meaning.zh and row.meaning.en for row in loaded)


def test_no_two_rows_say_something_of_the_same_code() -> None:
    keys = [(row.carrier, row.protocols, row.stage, row.code) for row in rows(OWN)]
    assert len(set(keys)) == len(keys)


def test_the_table_names_no_address() -> None:
    assert not re.search(r"https?:|www\.|[a-z0-9]\.(?:com|cn|net|org)\b", OWN.read_text())


def test_columns_may_be_left_out_and_stand_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "codes.tsv"
    path.write_text("# ours\ncause\tcode\n\ncontent\tMK:0001\n")
    (row,) = rows(path)
    assert (row.carrier, row.protocols, row.stage) == ("any", {"any"}, "report")
    assert row.meaning == ("content", False, "-", "", "")


HEAD = "carrier\tprotocol\tstage\tcode\tcause\tretryable\tfault\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("code\n", ":1: the header lacks the column cause"),
        ("code\tcause\tcolour\n", ":1: 'colour' is no column, allowed are carrier, protocol"),
        ("code\tcause\nA\tno\n", ":2: cause: 'no' is not one of delivered, absent"),
        ("code\tcause\n\tflow\n", ":2: code: is empty"),
        ("code\tcause\nA\n", ":2: cause: '' is not one of"),
        ("code\tcause\nA\tflow\tx\n", ":2: 3 fields, the header names 2 columns"),
        ("code\tcause\nre:(\tflow\n", ":2: code: 're:(' is no regular expression"),
        (HEAD + "cmcc\tcmpp\treport\tA\tflow\ty\t-\n", ":2: carrier: 'cmcc' is not one of any"),
        (HEAD + "any\tcmpp|x\treport\tA\tflow\ty\t-\n", ":2: protocol: 'x' is not one of"),
        (HEAD + "any\tcmpp\tlater\tA\tflow\ty\t-\n", ":2: stage: 'later' is not one of"),
        (HEAD + "any\tcmpp\treport\tA\tflow\tyes\t-\n", ":2: retryable: 'yes' is not one of n, y"),
        (HEAD + "any\tcmpp\treport\tA\tflow\ty\tus\n", ":2: fault: 'us' is not one of"),
    ],
)
def test_a_wrong_row_is_named_with_its_place(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "codes.tsv"
    path.write_text(text)
    with pytest.raises(CodesError) as caught:
        Codes(path)
    assert str(caught.value).startswith(f"{path}{error}")


def test_a_file_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "codes.tsv"
    path.write_bytes("code\tcause\tzh\nA\tflow\t流控\n".encode("gbk"))
    with pytest.raises(CodesError, match="not UTF-8"):
        Codes(path)
