"""Wheel, sdist, bundle and list of contents: the same bytes each time, and all that is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.release.test_lock import pins, project

from .conftest import OFFLINE, ROOT, clone, make, run

VERSION = project()["project"]["version"]
NAME = f"carrierd-{VERSION}"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_commit_gives_the_same_bytes_elsewhere_and_later(
    delivered: Path, tmp_path: Path
) -> None:
    again = clone(tmp_path / "elsewhere" / "under another name")
    for path in again.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o600)
    (again / "daemon" / "left_over.py").write_text("not committed")
    make(again, "bundle", TZ="Asia/Shanghai", LC_ALL="C")
    first, second = contents(delivered / "dist"), contents(again / "dist")
    del first[f"{NAME}.cdx.json"]
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    run("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=delivered / "dist")


def test_the_wheel_has_the_packages_with_their_tables_and_nothing_else(delivered: Path) -> None:
    (wheel,) = (delivered / "dist").glob("*-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    listed = run("git", "ls-files", "daemon", "protocols", "bench", cwd=delivered).splitlines()
    assert {name for name in names if ".dist-info/" not in name} == set(listed)
    with tarfile.open(delivered / "dist" / f"{NAME}.tar.gz") as sdist:
        members = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    assert members - {"PKG-INFO"} <= set(run("git", "ls-files", cwd=delivered).splitlines())
    assert {
        "Makefile",
        "constraints.txt",
        "tests/conftest.py",
        "systemd/carrierd.service",
    } <= members


def test_the_sdist_builds_the_same_wheel_without_a_network(delivered: Path, tmp_path: Path) -> None:
    (sdist,) = (delivered / "dist").glob(f"{NAME}.tar.gz")
    epoch = run("git", "log", "-1", "--format=%ct", cwd=delivered).strip()
    words = ("-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation")
    told = {**OFFLINE, "SOURCE_DATE_EPOCH": epoch}
    run(sys.executable, *words, "--wheel-dir", tmp_path, sdist, cwd=tmp_path, **told)
    (ours,), (made) = (delivered / "dist").glob("*-none-any.whl"), contents(tmp_path)
    assert made == {ours.name: ours.read_bytes()}


def test_the_bundle_installs_without_a_network_as_its_page_says(
    delivered: Path, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "release.md").read_text()
    (script,) = re.findall(r"^## Installing.*?^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    prefix = tmp_path / "opt" / "carrierd"
    script = script.replace("0.1.0", VERSION).replace("/opt/carrierd", str(prefix))
    shutil.copy(delivered / "dist" / f"{NAME}-bundle.tar.gz", tmp_path)
    tools = Path(sys.executable).resolve().parent
    run("sh", "-euc", script, cwd=tmp_path, PATH=f"{tools}:{os.environ['PATH']}", **OFFLINE)
    outside = {"PYTHONPATH": "", "PYTHONSAFEPATH": "1"}
    at = run(
        prefix / "bin/python",
        "-c",
        "import daemon; print(daemon.__file__)",
        cwd=tmp_path,
        **outside,
    )
    assert at.startswith(str(prefix))
    assert "compiled" in run(prefix / "bin/carrierd", "--version", cwd=tmp_path, **outside)
    demo = ("demo", "--messages", "80", "--rate", "80", "--json")
    said = json.loads(run(prefix / "bin/carrierd", *demo, cwd=tmp_path, **outside))
    assert (said["lost"], said["duplicated"]) == (0, 0)
    assert said["delivered"] > 0


def test_the_list_of_contents_is_what_the_bundle_installs(delivered: Path) -> None:
    file = delivered / "dist" / f"{NAME}.cdx.json"
    found = json.loads(file.read_text())
    locked = {
        name: next(iter(pin.specifier)).version
        for name, pin in pins("requirements.lock").items()
        if pin.marker is None or pin.marker.evaluate()
    }
    listed = {each["name"].lower().replace("_", "-"): each for each in found["components"]}
    assert {name: each["version"] for name, each in listed.items()} == locked
    whole = found["metadata"]["component"]
    assert (whole["name"], whole["version"], whole["type"]) == ("carrierd", VERSION, "application")
    # It has its licence as a text alone; tests/release/test_licences.py reads that.
    assert {name for name, each in listed.items() if not each.get("licenses")} <= {"aiosmpplib"}
    before = file.read_bytes()
    make(delivered, "sbom")
    assert file.read_bytes() == before
