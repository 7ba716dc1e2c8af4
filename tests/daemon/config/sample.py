"""A sound configuration to break in one place at a time."""

from __future__ import annotations

from pathlib import Path

from daemon.config import ConfigError, Examined, examine

TEXT = """\
[daemon]
name = "xz-a"
state_dir = "/var/lib/carrierd"
drain_within = 30.0
timezone = "Asia/Shanghai"

[broker]
kind = "kafka"
bootstrap = ["127.0.0.1:9092"]
topics.jobs = ["sms.jobs.urgent", "sms.jobs"]
topics.reports = "sms.reports"
security = "PLAINTEXT"

[http]
listen = "127.0.0.1:9464"

[accounts.mobile]
carrier = "mobile"
protocol = "cmpp"
version = "3.0"
login = "901234"
password = "hunter2"
access_number = "106575257777"
service_id = "XZ12123"
rate = 200
window = 16
[[accounts.mobile.nodes]]
name = "nj-1"
host = "127.0.0.1"
port = 7890
binds = 2
priority = 1
[[accounts.mobile.nodes]]
name = "nj-2"
host = "127.0.0.1"
port = 7891

[accounts.unicom]
carrier = "unicom"
protocol = "sgip"
version = "1.2"
login = "user"
password = "hunter2"
node_id = 3025112345
corp_id = "12345"
access_number = "106550101"
listen = "0.0.0.0:8801"
listen_login = "smg"
listen_password = "hunter3"
listen_allow = ["127.0.0.0/8", "10.0.0.1"]
rate = 100
[[accounts.unicom.nodes]]
name = "u1"
host = "127.0.0.1"
port = 8802

[accounts.other]
carrier = "telecom"
protocol = "smpp"
version = "3.4"
login = "other"
password = "hunter4"
access_number = "10659020"
rate = 50
[[accounts.other.nodes]]
name = "o1"
host = "127.0.0.1"
port = 2775

[routes]
mobile = ["mobile"]
unicom = ["unicom", "mobile"]
telecom = ["other"]

[uncertain]
hold = 10.0
then = "resend"

[simulate]
listen = "127.0.0.1:9465"
delay = 0.05
[simulate.accounts.mobile]
loss = 0.25
"""


def write(folder: Path, text: str = TEXT) -> Path:
    file = folder / "carrierd.toml"
    file.write_text(text)
    return file


def examined(folder: Path, text: str = TEXT, **environ: str) -> Examined:
    return examine(write(folder, text), environ=environ)


def edited(*edits: tuple[str, str]) -> str:
    """The sound text with the first of each `old` replaced."""
    text = TEXT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def faults(folder: Path, text: str, **environ: str) -> list[str]:
    """The lines of what is wrong, without the file's name."""
    file = write(folder, text)
    try:
        examine(file, environ=environ)
    except ConfigError as exc:
        lines = str(exc).split("\n")
        assert all(line.startswith(f"{file}:") for line in lines)
        return [line.removeprefix(f"{file}:") for line in lines]
    return []


def warnings(folder: Path, text: str, **environ: str) -> list[str]:
    file = folder / "carrierd.toml"
    return [line.removeprefix(f"{file}:") for line in examined(folder, text, **environ).warnings]
