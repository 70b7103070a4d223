"""What the README shows is what happens."""

import contextlib
import io
import re
from pathlib import Path

import mixedmodels as mm
from mixedmodels.__main__ import main

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_examples_run_and_print_what_stands_there():
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    printed = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, "README.md", "exec"), names)
    first_output = re.search(r"```python\n.*?```\n\n```\n(.*?)```", README, re.S)
    assert len(blocks) >= 3
    assert printed.getvalue().startswith(first_output[1])


def test_the_table_shown_is_what_the_command_prints(capsys):
    shown = re.search(r"```\n(CBPP m1.*?)```", README, re.S)[1]
    main(["--table", "CBPP m1"])
    assert capsys.readouterr().out.startswith(shown)


def test_every_name_the_readme_mentions_exists():
    for name in re.findall(r"`mm\.(\w+)", README):
        assert hasattr(mm, name), name
    text = re.search(r"Accessors have lme4's names.*?\. Coefficients", README, re.S)[0]
    for name in re.findall(r"`(\w+)`", text):
        assert callable(getattr(mm, name)), name


def test_the_counts_are_those_of_the_catalogues():
    assert f"{len(mm.list_datasets())} data sets" in README
    assert "34 tables of four published texts" in README and "463 numbers" in README
