"""The wheel holds what it must, works where no checkout is near, and is quick to import."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from mesonpy import build_wheel

ROOT = Path(__file__).resolve().parents[1]
# A user must not wait for the package beyond what its dependencies cost.
IMPORT_BUDGET_SECONDS = 0.1


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Build the wheel, without the network, and return its path."""
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def wheel_without_compiler(tmp_path_factory):
    """Build the wheel as on a machine that has no C compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", "/nonexistent/cc")
        return built(tmp_path_factory.mktemp("plain-wheel"))


def built(folder):
    """Build the wheel from the checkout into a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        # The build tools stand beside the interpreter, which may not be on the path.
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        return folder / build_wheel(str(folder))


def has_compiler():
    """Tell whether this machine can compile an extension module."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    names = [os.environ["CC"]] if "CC" in os.environ else ["cc", "gcc", "clang"]
    return headers.exists() and any(shutil.which(name) for name in names)


def run_python(code, *, path, folder):
    """Run the code in a new interpreter that sees only `path` before its own libraries.

    The loader of an editable installation would come first; it lives in a site of its own.
    """
    editable = "[f for f in sys.meta_path if 'mesonpy' not in str(f).lower()]"
    code = f"import sys; sys.meta_path[:] = {editable}; {code}"
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
    certification = {f"mixedmodels/certification/published_{name}" for name in ("runs.json", "rows.csv.gz")}
    assert modules | data <= names
    assert {"mixedmodels/py.typed", "mixedmodels/replication/published_tables.json", *certification} <= names
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
    assert data == "73421 100"
    assert numbers == "463"


def compiled_kernels(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    return {Path(name).name.split(".")[0] for name in names if name.endswith((".so", ".pyd"))}


@pytest.mark.skipif(not has_compiler(), reason="no C compiler or no Python.h")
def test_every_kernel_is_compiled_where_there_is_a_compiler(wheel):
    sources = {path.stem for path in (ROOT / "mixedmodels").rglob("*.pyx")}
    assert sources and compiled_kernels(wheel) == sources


def test_without_a_compiler_the_numpy_kernels_serve(wheel_without_compiler, tmp_path):
    assert not compiled_kernels(wheel_without_compiler)
    zipfile.ZipFile(wheel_without_compiler).extractall(tmp_path)
    code = (
        "import mixedmodels as mm; from mixedmodels.kernels import schur;"
        "m = mm.lmer('strength ~ 1 + (1 | sample) + (1 | batch)', mm.load_dataset('Pastes'), REML=False);"
        "print(mm.__file__, schur.subtract_schur.__name__, f'{m.deviance():.4f}')"
    )
    where, name, objective = run_python(code, path=tmp_path, folder=tmp_path).split()
    assert where.startswith(str(tmp_path))
    assert (name, objective) == ("subtract_schur_numpy", "247.9945")


def test_importing_costs_little_beyond_the_dependencies(tmp_path):
    code = (
        "import time; import numpy, scipy.sparse, pandas, formulaic;"
        "start = time.perf_counter(); import mixedmodels; print(time.perf_counter() - start)"
    )
    # The smallest of several runs: what else the machine is doing only ever adds.
    seconds = min(float(run_python(code, path=ROOT, folder=tmp_path)) for _ in range(5))
    assert seconds < IMPORT_BUDGET_SECONDS


def test_the_list_of_files_in_contributing_is_up_to_date():
    command = [sys.executable, ROOT / "tools" / "list_files.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run: python tools/list_files.py"


def test_every_file_that_the_documents_name_exists():
    for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for name in re.findall(r"[`(]((?:[\w.]+/)*[\w.]+\.(?:py|md|json|txt|sh))[`)]", text):
            inside = any((ROOT / "mixedmodels").rglob(name))
            assert (ROOT / name).exists() or inside, f"{document}: {name}"


def test_continuous_integration_runs_what_everybody_runs():
    for script in (ROOT / ".ci" / "run", ROOT / "tools" / "bootstrap.sh"):
        assert os.access(script, os.X_OK), script
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in commands if "make" in line] == ["exec make test </dev/null"]
