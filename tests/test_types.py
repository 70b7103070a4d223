"""What mypy --strict makes of a user's script: the type of every result, and every mistake found."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import mixedmodels as mm

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(__file__).with_name("types")
FUNCTIONS = [name for name in mm.__all__ if inspect.isfunction(getattr(mm, name))]
#: Functions whose results are of as many kinds as there are names to ask for, or belong to another package.
OF_ANY_KIND = ("getME", "marginaleffects_model", "regression_table")
#: Functions whose arguments are those of one of several methods, which overloads say.
OF_SEVERAL_METHODS = ("simulate",)


def mypy(*scripts: Path) -> str:
    """Return what mypy says, with the cache that `make check` has filled."""
    pytest.importorskip("mypy")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *map(str, scripts)],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert not found.stderr, found.stderr
    return found.stdout


def test_mypy_knows_the_type_of_every_result_and_finds_every_mistake():
    script, mistakes = SCRIPTS / "user_script.py", SCRIPTS / "mistakes.py"
    said = mypy(script, mistakes)
    assert [line for line in said.splitlines() if "user_script.py" in line] == []
    found = {int(number) for number in re.findall(r"mistakes\.py:(\d+): error", said)}
    lines = mistakes.read_text(encoding="utf-8").splitlines()
    first = next(k for k, line in enumerate(lines, 1) if line.startswith("m = ")) + 1
    assert found == set(range(first, len(lines) + 1)), said


def test_the_script_runs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        code = (SCRIPTS / "user_script.py").read_text(encoding="utf-8")
        pytest.importorskip("maketables")
        exec(compile(code, "user_script.py", "exec"), {"__name__": "user_script"})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_says_what_it_takes_and_returns(name):
    signature = inspect.signature(getattr(mm, name))
    assert signature.return_annotation is not signature.empty
    assert signature.return_annotation != "Any" or name in OF_ANY_KIND
    for parameter in signature.parameters.values():
        assert parameter.annotation is not parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            assert parameter.annotation != "Any" or name in OF_SEVERAL_METHODS
