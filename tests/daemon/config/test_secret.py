"""Secrets: the three ways to give one, and that none gets out."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import msgspec
import pytest

from daemon.config import ConfigError, Secret, examine, load

from .sample import edited, examined, faults, warnings, write

PASSWORD = 'password = "hunter2"'
LINE = "22: accounts.mobile.password_file: "
ALLOWED = "allowed is a file with the secret on one line that this user may read"


def given_as(text: str) -> str:
    return edited((PASSWORD, text))


def test_a_secret_can_come_from_the_environment(tmp_path: Path) -> None:
    config = examined(tmp_path, given_as('password_env = "XZ"'), XZ="from there").config
    assert config.accounts["mobile"].password.reveal() == "from there"


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_a_secret_can_come_from_a_file_that_ends_its_line_or_not(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content.encode())
    file.chmod(0o600)
    result = examined(tmp_path, given_as('password_file = "secret"'))
    assert result.config.accounts["mobile"].password == Secret("s3cret")
    assert result.warnings == []


def test_a_file_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret")
    for mode in (0o640, 0o604):
        file.chmod(mode)
        assert warnings(tmp_path, given_as('password_file = "secret"')) == [
            f"{LINE}{file} can be read by others than its owner, chmod 600 closes it"
        ]


CREDENTIAL = 'password_file = "${CREDENTIALS_DIRECTORY}/xz"'


def test_a_credential_is_read_where_the_service_manager_put_it(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "xz").write_text("s3cret\n")
    (folder / "xz").chmod(0o440)  # the mask of an access list, as systemd leaves it
    found = examined(tmp_path, given_as(CREDENTIAL), CREDENTIALS_DIRECTORY=str(folder))
    assert found.config.accounts["mobile"].password == Secret("s3cret")
    assert found.warnings == []


def test_a_credential_without_a_service_manager_is_a_fault_that_says_so(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, given_as(CREDENTIAL))
    assert line.startswith(f"{LINE}names a credential, but CREDENTIALS_DIRECTORY is not set")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o600])
def test_at_start_a_password_in_a_configuration_that_others_can_read_is_a_warning(
    tmp_path: Path, mode: int
) -> None:
    file = write(tmp_path)
    file.chmod(mode)
    assert examine(file, environ={}).warnings == []
    warned = examine(file, environ={}, at_start=True).warnings
    assert len(warned) == (mode != 0o600)
    for warning in warned:
        assert ": accounts.mobile.password: stands in a file that others can read" in warning
        assert "hunter" not in warning


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, given_as('password_file = "secret"')) == [
        f"{LINE}cannot be read (No such file or directory: {tmp_path}/secret), {ALLOWED}"
    ]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is empty, allowed is one line of printable characters"),
        (b"\n", "is empty, allowed is one line of printable characters"),
        (
            b"two\nlines\n",
            "has a line break or control character, allowed is one line of printable characters",
        ),
    ],
)
def test_a_file_without_one_line_is_a_fault(tmp_path: Path, content: bytes, wrong: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert faults(tmp_path, given_as('password_file = "secret"')) == [LINE + wrong]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 5000])
def test_a_file_of_something_else_is_a_fault(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    (line,) = faults(tmp_path, given_as('password_file = "secret"'))
    assert line.startswith(LINE)
    assert line.endswith(ALLOWED)


def test_a_bad_value_from_elsewhere_is_placed_at_the_key_that_named_it(tmp_path: Path) -> None:
    text = edited(('password = "hunter4"', 'password_env = "P"'))
    assert faults(tmp_path, text, P="x" * 9) == [
        "62: accounts.other.password_env: has 9 octets, allowed with smpp are at most 8"
    ]


def test_without_secrets_nothing_is_read_and_revealing_is_an_error(tmp_path: Path) -> None:
    file = write(tmp_path, given_as('password_env = "NOT_SET_ANYWHERE"'))
    with pytest.raises(ConfigError):
        load(file)
    config = load(file, secrets=False)
    with pytest.raises(LookupError, match="without its accounts' secrets"):
        config.accounts["mobile"].password.reveal()


def test_the_brokers_secret_is_read_even_without_the_accounts(tmp_path: Path) -> None:
    file = write(tmp_path, edited(('security = "PLAINTEXT"', 'password_env = "NOT_SET"')))
    with pytest.raises(ConfigError, match=r"broker\.password_env"):
        load(file, secrets=False)


def test_a_secret_shows_nowhere(tmp_path: Path) -> None:
    config = load(write(tmp_path))
    secret = config.accounts["mobile"].password
    seen = [repr(config), str(config), f"{secret} {secret!r}"]
    assert "hunter" not in "".join(seen)
    assert repr(secret) == "***"
    for leak in (json.dumps, msgspec.json.encode, msgspec.msgpack.encode, pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            leak(secret)


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("é") != Secret("e")
    assert Secret(None) != Secret("a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
