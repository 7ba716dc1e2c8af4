"""What is installed: every file of the packages, nothing else, and the same bytes each time."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_wheel

from .test_lock import ROOT, project


def test_the_wheel_has_what_the_packages_have_and_is_the_same_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    built = []
    for number in range(2):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
        folder = tmp_path / str(number)
        folder.mkdir()
        built.append(folder / build_wheel(str(folder)))
    assert built[0].read_bytes() == built[1].read_bytes()
    packages = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = (path for name in packages for path in (ROOT / name).rglob("*") if path.is_file())
    listed = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(built[0]) as wheel:
        assert {name for name in wheel.namelist() if ".dist-info/" not in name} == listed
        (command,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        assert "carrierd = daemon.__main__:main" in wheel.read(command).decode()
