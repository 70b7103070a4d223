"""The wheel holds what it must, works where no checkout is near, and is quick to import."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_wheel

ROOT = Path(__file__).resolve().parents[1]
# The issue of principle: a user must not wait for the package beyond what its dependencies cost.
IMPORT_BUDGET_SECONDS = 0.1


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Build the wheel, without the network, and return its path."""
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return folder / build_wheel(str(folder))
    finally:
        os.chdir(before)


def run_python(code, *, path, folder):
    """Run the code in a new interpreter that sees only `path` before its own libraries."""
    environment = {**os.environ, "PYTHONPATH": str(path), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_holds_every_module_the_data_and_the_published_tables(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "mixedmodels").rglob("*.py")}
    data = {f"mixedmodels/data/{path.name}" for path in (ROOT / "datasets").iterdir()}
    assert modules | data <= names
    assert {"mixedmodels/py.typed", "mixedmodels/replication/published_tables.json"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "datasets/"))]


def test_an_installed_wheel_works_far_from_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import mixedmodels as mm; print(mm.__file__); d = mm.load_dataset('InstEval');"
        "print(len(d), len(mm.list_datasets()));"
        "from mixedmodels.replication.published import published_tables;"
        "print(sum(len(t.numbers) for t in published_tables()))"
    )
    where, data, numbers = run_python(code, path=site, folder=tmp_path).splitlines()
    assert where.startswith(str(site))
    assert data == "73421 87"
    assert numbers == "463"


def test_nothing_but_python_is_in_the_wheel(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")


def test_importing_costs_little_beyond_the_dependencies(tmp_path):
    code = (
        "import time; import numpy, scipy.sparse, pandas, formulaic;"
        "start = time.perf_counter(); import mixedmodels; print(time.perf_counter() - start)"
    )
    # The smallest of several runs: what else the machine is doing only ever adds.
    seconds = min(float(run_python(code, path=ROOT, folder=tmp_path)) for _ in range(5))
    assert seconds < IMPORT_BUDGET_SECONDS


def test_every_module_has_its_line_in_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(mixedmodels/[\w/]+\.py)`", text))
    modules = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "mixedmodels").rglob("*.py")
        if path.name != "__init__.py" or path.parent.name == "mixedmodels"
    }
    assert listed == modules


def test_every_file_that_the_documents_name_exists():
    for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for name in re.findall(r"[`(]((?:[\w.]+/)*[\w.]+\.(?:py|md|json|txt|sh))[`)]", text):
            assert (ROOT / name).exists() or (ROOT / "mixedmodels" / name).exists(), f"{document}: {name}"


def test_continuous_integration_runs_what_everybody_runs():
    for script in (ROOT / ".ci" / "run", ROOT / "tools" / "bootstrap.sh"):
        assert os.access(script, os.X_OK), script
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in commands if "make" in line] == ["exec make test </dev/null"]
