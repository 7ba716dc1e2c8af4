"""What the daemon is delivered with may be delivered: every licence is on a list."""

from __future__ import annotations

import re
from importlib.metadata import distribution, metadata

from .test_lock import pins

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
}
SPELLED = {
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "MIT/X11": "MIT",
    "Python Software Foundation License": "PSF-2.0",
    "The MIT License (MIT)": "MIT",
}
"""What packages without an SPDX expression say, if only in the first line of the licence itself."""


def licences(name: str) -> set[str]:
    """What one installed package says of itself; empty when it says nothing."""
    said = metadata(name)
    if expression := said.get("License-Expression"):
        return set(re.split(r" AND | OR | WITH |[()\s]+", expression)) - {""}
    classified = [
        each.rpartition(" :: ")[2]
        for each in said.get_all("Classifier") or ()
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    plain = (said.get("License") or "").strip()
    texts = (
        distribution(name).read_text(f"licenses/{file}")
        for file in said.get_all("License-File", [])
    )
    first = [text.strip().partition("\n")[0] for text in texts if text]
    return {SPELLED.get(each, each) for each in classified or ([plain] if plain else first)}


def test_every_locked_package_has_a_licence_that_is_allowed() -> None:
    locked = pins("requirements.lock")
    assert len(locked) > 10
    found = {
        name: licences(name)
        for name, pin in locked.items()
        if pin.marker is None or pin.marker.evaluate()
    }
    assert {name: said for name, said in found.items() if not said or not said <= ALLOWED} == {}
