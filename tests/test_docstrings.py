"""Every example in a docstring prints what stands there."""

import doctest
import importlib
from pathlib import Path

import pytest

import mixedmodels

FOLDER = Path(mixedmodels.__file__).parent
#: Packages of an extra that the examples of a module call.
USES = {
    "mixedmodels.tidy.regression_table": "maketables",
    "mixedmodels.tidy.marginaleffects": "marginaleffects",
}
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules_with_examples():
    for path in sorted(FOLDER.rglob("*.py")):
        if "    >>> " in path.read_text(encoding="utf-8"):
            yield ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples(name):
    if name.startswith("mixedmodels.plots."):
        pytest.importorskip("matplotlib.pyplot").close("all")
    if name in USES:
        pytest.importorskip(USES[name])
    try:
        module = importlib.import_module(name)
    except mixedmodels.NotAvailableError as error:  # of a package that an extra installs
        pytest.skip(str(error))
    found = doctest.testmod(module, optionflags=FLAGS)
    assert found.attempted
    assert not found.failed
