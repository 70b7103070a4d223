"""Modules that are read when first used: what runs when, from several threads, and what a first fit reads."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import mixedmodels as mm
from mixedmodels.models.linear import LinearMixedModel

ROOT = Path(__file__).resolve().parents[1]

FIRST_FIT = """
import json, sys
import pandas
import mixedmodels as mm
days = {"y": [1.0, 2.0, 4.0, 3.0, 5.0, 7.5], "z": [0, 3, 1, 2, 4, 1], "x": [0.0, 1, 0, 1, 0, 1]}
days["g"] = list("aabbcc")
CALL
print(json.dumps([name for name, module in sys.modules.items() if type(module).__name__ != "_Deferred"]))
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_a_first_fit_reads_nothing_that_it_does_not_need():
    read = json.loads(run(FIRST_FIT.replace("CALL", 'mm.lmer("y ~ x + (1 | g)", days)')))
    assert "mixedmodels.engines.linear.fit" in read
    unneeded = [
        "scipy.stats", "scipy.optimize", "formulaic", "narwhals", "matplotlib", "tqdm", "asyncio",
        "mixedmodels.inference.anova", "mixedmodels.inference.profile.profile", "mixedmodels.tidy.report",
        "mixedmodels.plots.overview", "mixedmodels.models.structured_mixed", "mixedmodels.prediction.predict",
        "mixedmodels.factorization.constant.sparse_tail",
        "mixedmodels.factorization.constant.sparse_tail_matrix",
        "mixedmodels.factorization.constant.dense_tail", "mixedmodels.factorization.sparse.symbolic",
        "mixedmodels.covariance.residual.structure", "mixedmodels.covariance.diagonal",
        "mixedmodels.formula.language.residual", "mixedmodels.formula.design.residual",
        "mixedmodels.formula.design.relationship", "mixedmodels.formula.evaluation.contrasts",
        "mixedmodels.formula.evaluation.functions", "mixedmodels.formula.evaluation.spelled_numbers",
        "mixedmodels.factorization.constant.blocked", "mixedmodels.factorization.constant.assembly",
        "mixedmodels.factorization.chain_and_tail", "mixedmodels.formula.design.new_data",
        "mixedmodels.engines.linear.gradient", "mixedmodels.engines.linear.fewer_fixed",
        "mixedmodels.engines.linear.small_residual", "mixedmodels.engines.linear.start",
        "mixedmodels.foreign.names", "mixedmodels.optimization.quasi_newton",
        "mixedmodels.engines.linear.separated_rows",
        "mixedmodels.fits.stored_rows", "mixedmodels.fits.joint_covariance", "mixedmodels.reports.fit_text",
    ]  # fmt: skip
    assert [name for name in unneeded if name in read] == []


def test_a_first_generalized_fit_reads_nothing_that_it_does_not_need():
    read = json.loads(run(FIRST_FIT.replace("CALL", 'mm.glmer("z ~ x + (1 | g)", days, "poisson")')))
    assert "mixedmodels.engines.generalized.fit" in read
    unneeded = [
        "mixedmodels.lmer", "mixedmodels.linear_request", "mixedmodels.engines.linear.fit",
        "mixedmodels.engines.gee.equations", "mixedmodels.engines.nonlinear.problem",
        "mixedmodels.engines.pql",
        "mixedmodels.engines.residual.objective", "mixedmodels.engines.generalized.some_columns",
        "mixedmodels.formula.language.dispersion", "mixedmodels.formula.design.new_residual",
        "mixedmodels.inference.robust", "mixedmodels.prediction.predict", "mixedmodels.prediction.simulate",
        "mixedmodels.reports.fit_text", "mixedmodels.reports.family_text", "mixedmodels.streams.open_source",
        "mixedmodels.models.pql", "mixedmodels.models.structured_mixed",
    ]  # fmt: skip
    assert [name for name in unneeded if name in read] == []


PACKAGE = """
import sys, threading
sys.path.insert(0, sys.argv[1])
import mixedmodels
mixedmodels.__path__.append(sys.argv[1])
from mixedmodels.deferred import on_first_use
with on_first_use():
    from mixedmodels import slow_module
    import json.tool
where = slow_module.__file__
print("mixedmodels.slow_module" in sys.modules, type(slow_module).__name__, hasattr(json, "tool"))
answers, gate = [], threading.Barrier(4)
def ask():
    gate.wait()
    answers.append(slow_module.answer())
threads = [threading.Thread(target=ask) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(answers, type(slow_module).__name__)
import inspect, pickle
print(pickle.loads(pickle.dumps(slow_module.answer)) is slow_module.answer, slow_module.__doc__)
print(inspect.getsource(slow_module.answer).split()[1], slow_module.__spec__.loader.get_filename() == where)
"""


def test_a_deferred_module_runs_once_whoever_asks_first(tmp_path):
    (tmp_path / "slow_module.py").write_text(
        '"""Slow."""\nimport time\nprint("runs")\ntime.sleep(0.2)\ndef answer():\n    return 42\n'
    )
    said = run(PACKAGE, str(tmp_path)).splitlines()
    assert said == [
        "True _Deferred True",
        "runs",
        "[42, 42, 42, 42] module",
        "True Slow.",
        "answer(): True",
    ]


BROKEN = """
import sys
import mixedmodels
mixedmodels.__path__.append(sys.argv[1])
from mixedmodels.deferred import on_first_use
with on_first_use():
    from mixedmodels import broken_module
for _ in range(2):
    try:
        broken_module.anything
    except ImportError as error:
        print(error)
"""


def test_what_goes_wrong_in_a_deferred_module_is_seen_each_time(tmp_path):
    (tmp_path / "broken_module.py").write_text('raise ImportError("needs another package")\n')
    assert run(BROKEN, str(tmp_path)).splitlines() == ["needs another package"] * 2


@pytest.mark.parametrize(
    "name", ["emmeans", "emtrends", "joint_tests", "tidy", "glance", "augment", "report"]
)
def test_a_method_of_a_deferred_module_is_its_function(name):
    function = getattr(LinearMixedModel, name)
    assert function.__name__ == name
    assert function.__doc__
    assert getattr(mm, name) is function


def test_methods_serve_from_many_threads():
    sleep = mm.load_dataset("sleepstudy")
    found = []

    def fit():
        found.append(mm.lmer("Reaction ~ Days + (1 | Subject)", sleep).glance().shape)

    threads = [threading.Thread(target=fit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
