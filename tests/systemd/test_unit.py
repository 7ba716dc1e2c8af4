"""The unit files, judged by systemd's own tools; no service manager needs to run."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.config import load
from daemon.notify import STOP_PATIENCE
from tests.release.test_image import understood

from .confine import settings
from .manager import ROOT, UNIT

pytestmark = pytest.mark.usefixtures("systemd")
FOLDER = UNIT.parent


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_sandbox_leaves_an_exposure_of_two_at_most() -> None:
    run("systemd-analyze", "security", "--offline=yes", "--threshold=20", str(UNIT))


def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    program = "/opt/carrierd/bin/carrierd"
    text = UNIT.read_text()
    assert program in text
    (tmp_path / UNIT.name).write_text(text.replace(program, sys.executable))
    shutil.copy(FOLDER / "carrierd.socket", tmp_path)
    units = sorted(map(str, tmp_path.iterdir()))
    assert run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units) == ""


def test_user_and_directories_are_made_for_the_service_and_nobody_else(tmp_path: Path) -> None:
    for kind in ("sysusers.d", "tmpfiles.d"):
        shutil.copytree(FOLDER / kind, tmp_path / "etc" / kind)
    secrets = tmp_path / "etc" / "carrierd" / "secrets"
    secrets.mkdir(parents=True)
    for file in (secrets / "xz", secrets.parent / "carrierd.toml", secrets.parent / "carrierd.env"):
        file.touch(0o666)
    run("systemd-sysusers", f"--root={tmp_path}")
    run("systemd-tmpfiles", "--create", f"--root={tmp_path}")
    (user,) = re.findall(
        r"^carrierd:x:(\d+):(\d+):.*:/var/lib/carrierd:/usr/sbin/nologin$",
        (tmp_path / "etc" / "passwd").read_text(),
        re.MULTILINE,
    )
    owned = {
        str(path.relative_to(tmp_path)): (
            stat.filemode(path.stat().st_mode),
            path.stat().st_uid == int(user[0]),
            path.stat().st_gid == int(user[1]),
        )
        for path in (*secrets.parent.rglob("*"), secrets.parent, tmp_path / "var/lib/carrierd")
    }
    assert owned == {
        "etc/carrierd": ("drwxr-x---", False, True),
        "etc/carrierd/carrierd.toml": ("-rw-r-----", False, True),
        "etc/carrierd/carrierd.env": ("-rw-------", False, False),
        "etc/carrierd/secrets": ("drwx------", False, False),
        "etc/carrierd/secrets/xz": ("-rw-------", False, False),
        "var/lib/carrierd": ("drwx------", True, True),
    }


def test_the_units_agree_with_the_configuration_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = re.findall(r"^#LoadCredential=([^:]+):/etc/", UNIT.read_text(), re.MULTILINE)
    for name in credentials:
        (tmp_path / name).write_text("secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("CARRIERD_KAFKA_PASSWORD", "XZ_MOBILE_PASSWORD", "XZ_UNICOM_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("XZ_UNICOM_LISTEN", "secret")
    config = load(ROOT / "config" / "production.toml")
    listens = {str(account.listen) for account in config.accounts.values() if account.listen}
    assert set(settings(FOLDER / "carrierd.socket", "ListenStream")) == listens
    assert settings(UNIT, "StateDirectory") == [config.daemon.state_dir.name]
    assert config.daemon.state_dir.parent == Path("/var/lib")
    for key, command in {"ExecStart": "run", "ExecReload": "check"}.items():
        line = settings(UNIT, key)
        assert line[:2] == ["/opt/carrierd/bin/carrierd", command]
        assert understood(line[1:4]).config == Path("/etc/carrierd/carrierd.toml")
    assert float(*settings(UNIT, "TimeoutStopSec")) >= config.daemon.drain_within + STOP_PATIENCE
