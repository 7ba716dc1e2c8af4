"""Parts in words that every protocol spells."""

from __future__ import annotations

from dataclasses import fields

from protocols.part import Coding, Part


def test_a_part_for_others_has_all_but_its_recipients_in_common() -> None:
    of = Part("1", "106", b"x", Coding.GB18030, True, 2, 3, 4, False, 5.0, True, ("6", "7"))
    defaults = Part("1", "106", b"x")
    others = of.to_these(("8", "9", "10"))
    assert (others.to, others.also) == ("8", ("9", "10"))
    for name in [field.name for field in fields(Part) if field.name not in ("to", "also")]:
        assert getattr(others, name) == getattr(of, name)
        if name not in ("sender", "content"):
            assert getattr(of, name) != getattr(defaults, name)
    assert of.to_these(("8",)).also == ()
