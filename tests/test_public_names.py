"""The public names: all there, all documented, functions rather than modules of their name."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mixedmodels as mm

SOURCE = Path(mm.__file__).read_text(encoding="utf-8")


def test_the_names_for_type_checkers_are_those_at_run_time():
    block = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    declared = {
        f"{node.module}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == {f"mixedmodels.{home}.{name}" for name, home in mm._HOME_OF.items()}


@pytest.mark.parametrize("name", mm.__all__)
def test_every_name_is_there_and_documented(name):
    value = getattr(mm, name)
    assert not inspect.ismodule(value)
    assert value is mm.NA or inspect.getdoc(value)


def test_unknown_names():
    with pytest.raises(AttributeError, match="lmr"):
        mm.lmr  # noqa: B018


def test_functions_are_not_hidden_by_their_modules():
    code = "import mixedmodels.lmer, mixedmodels.glm, mixedmodels.formula\nimport mixedmodels as mm\n"
    code += "assert all(callable(f) for f in (mm.lmer, mm.glm, mm.glmer, mm.formula)), mm.lmer\n"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_a_text():
    assert isinstance(mm.__version__, str)
