"""Tests that can fail: what breaks a promise of the contract is found by the tests of it."""

from __future__ import annotations

import pytest

from .mutant import Edit, Mutation
from .table import MUTATIONS
from .trial import try_

PATIENCE = 3.0
"""Seconds: most mutations make a test wait for what never comes."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.breaks)
def test_without_it_tests_do_not_pass(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for change in mutation.changes:
            change.apply(patch)
        trial = try_(mutation.tests, patience=PATIENCE)
    assert not trial.broke, "the mutated code fell over by itself, which shows nothing"
    assert not trial.passed, f"survives: {mutation.changes}"
    assert trial.said_no


def test_with_all_of_it_they_do() -> None:
    trial = try_(sorted({test for mutation in MUTATIONS for test in mutation.tests}))
    assert (trial.broke, trial.said_no) == ({}, {})
    assert trial.passed


def test_code_that_falls_over_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    test = "tests/daemon/test_pacing.py::test_there_is_nothing_to_spend_at_start"
    with monkeypatch.context() as patch:
        Edit("daemon.pacing:Pacer.ready", "self._refill(now)", "1 / 0").apply(patch)
        trial = try_([test])
    assert (list(trial.broke), trial.said_no, trial.passed) == ([test], {}, set())
    assert "ZeroDivisionError" in trial.broke[test]


def test_a_line_that_is_gone_is_no_mutation(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="0 times: choose another line"):
        Edit("daemon.pacing:Pacer.ready", "what nobody wrote", "pass").apply(monkeypatch)
