"""Fits of every kind agree with R: objective, estimates, standard errors, random effects, predictions."""

import json
from pathlib import Path

import pytest

from tests.conformance.references import run_reference

FILES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fit_agrees_with_r(path):
    result = run_reference(json.loads(path.read_text(encoding="utf-8")))
    assert result.verdict == "holds", [check for check in result.checks if check.verdict != "holds"]


def test_there_are_excerpts():
    assert len(FILES) > 30
