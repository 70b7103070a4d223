"""The public names: all there, all documented, functions rather than modules of their name."""

from __future__ import annotations

import ast
import inspect
import re
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


FUNCTIONS = [name for name in mm.__all__ if inspect.isfunction(getattr(mm, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_takes_what_it_returns_and_shows_an_example(name):
    function = getattr(mm, name)
    text = inspect.getdoc(function)
    signature = inspect.signature(function)
    given = [p for p in signature.parameters if p != "model"]
    if given:
        assert "Parameters\n---" in text
    if signature.return_annotation != "None":
        assert "Returns\n---" in text
    assert "Examples\n---" in text and ">>> " in text
    assert re.fullmatch(r"[A-Z][^\n]*[.:;]", text.split("\n\n")[0].replace("\n", " "))


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if inspect.signature(getattr(mm, n)).parameters])
def test_every_parameter_is_explained(name):
    function = getattr(mm, name)
    text = inspect.getdoc(function)
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n[A-Z]\w+\n-|\Z)", text, re.DOTALL)
    listed = (
        set(re.findall(r"\w+", " ".join(re.findall(r"^(\S[^:]*?)(?: :.*)?$", section[1], re.MULTILINE))))
        if section
        else set()
    )
    taken = {p for p in inspect.signature(function).parameters if p not in ("model", "self")}
    assert taken <= listed | {"model"}, taken - listed


def test_unknown_names():
    with pytest.raises(AttributeError, match="lmr"):
        mm.lmr  # noqa: B018


def test_functions_are_not_hidden_by_their_modules():
    code = "import mixedmodels.lmer, mixedmodels.glm, mixedmodels.formula\nimport mixedmodels as mm\n"
    code += "assert all(callable(f) for f in (mm.lmer, mm.glm, mm.glmer, mm.formula)), mm.lmer\n"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_a_text():
    assert isinstance(mm.__version__, str)
