"""Running: absent contestants, timeouts, requests, and the clock."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command_line
from benchmarks import contestants, measure, run, worker
from benchmarks.contestants import Outcome
from benchmarks.peers import environment
from benchmarks.run import Settings
from benchmarks.suite import MODELS, Model, find

SMALL = Model(
    "small",
    "slopes",
    "y ~ x + (1 | g)",
    simulated=True,
    arguments=(("rows", 60), ("groups", 6)),
    target_refit=0.1,
)


@pytest.fixture
def settings(tmp_path):
    return Settings(peers_python=tmp_path / "no-python", directory=tmp_path, timeout=20.0)


def test_a_contestant_without_interpreter_is_absent_with_the_remedy(settings):
    record = run.measure(contestants.find("glmm"), SMALL, settings)
    assert (record.status, record.contestant, record.threads) == ("absent", "glmm", 1)
    assert "python -m benchmarks peers" in record.reason
    assert "absent" in run.sentence(record)


def test_lme4_is_absent_without_r(settings, monkeypatch):
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    record = run.measure(contestants.find("lme4"), SMALL, settings)
    assert (record.status, "install R" in record.reason) == ("absent", True)


def test_a_process_that_takes_too_long_is_stopped(settings):
    slow = [sys.executable, "-c", "import time; time.sleep(20)"]
    answer = run.execute(slow, Settings(timeout=0.2))
    assert answer == {"status": "timeout", "reason": "stopped after 0 s"}


def test_a_process_that_dies_is_reported_with_its_last_words():
    answer = run.execute([sys.executable, "-c", "raise SystemExit('out of luck')"], Settings())
    assert answer is not None
    assert answer["status"] == "failed"
    assert answer["reason"].endswith("out of luck")


def test_threads_are_pinned_alike(settings):
    code = "import os, sys; sys.exit(os.environ['OPENBLAS_NUM_THREADS'] + os.environ['RAYON_NUM_THREADS'])"
    answer = run.execute([sys.executable, "-c", code], Settings(threads=3))
    assert answer is not None
    assert answer["reason"].endswith("33")


def test_requests_hold_what_the_worker_needs(settings):
    request = json.loads(run.json_request(contestants.find("glmm"), SMALL, Path("data.csv"), settings))
    assert worker.model_from(request["model"]) == SMALL
    text = run.dcf_request(find("insteval-3"), Path("data.csv"), settings)
    assert "reml: false\n" in text
    assert "refit: false\n" in text
    assert run.parse_dcf("status: ok\nblas: /a:b\nobjective: NA\n") == {"status": "ok", "blas": "/a:b"}


class Fake:
    """A contestant that fits by adding up."""

    DISTRIBUTION = "no-such-distribution"

    def unsupported(self, model):
        return "three factors" if model.id == "unsupported" else None

    def fitter(self, model, frame):
        return lambda: float(frame["y"].sum())

    def outcome(self, model, fit):
        return Outcome(fit, 7)

    def refitter(self, model, fit, y):
        return lambda: y.sum()


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(worker.contestants, "load", lambda entry: Fake())


def ask(model, tmp_path):
    data = run.frames.store(SMALL, tmp_path)
    request, response = tmp_path / "request", tmp_path / "response"
    request.write_text(run.json_request(contestants.find("glmm"), model, data, Settings(budget=0.01)))
    worker.main(str(request), str(response))
    return json.loads(response.read_text())


def test_the_worker_measures(fake, tmp_path):
    answer = ask(SMALL, tmp_path)
    assert (answer["status"], answer["evaluations"], answer["rows"]) == ("ok", 7, 60)
    assert answer["version"].startswith("checkout")
    assert 0.0 < answer["fastest"] <= answer["seconds"]
    assert answer["repeats"] >= 0
    assert answer["peak_mb"] >= answer["fit_mb"] >= 0.0
    assert answer["refit_seconds"] > 0.0


def test_the_worker_says_what_a_contestant_cannot_do(fake, tmp_path):
    answer = ask(Model("unsupported", "slopes", "y ~ x + (1 | g)", simulated=True), tmp_path)
    assert (answer["status"], answer["reason"]) == ("unsupported", "three factors")


def test_the_worker_says_who_is_not_installed(tmp_path, monkeypatch):
    def missing(entry):
        raise ModuleNotFoundError("No module named 'glmm'")

    monkeypatch.setattr(worker.contestants, "load", missing)
    answer = ask(SMALL, tmp_path)
    assert (answer["status"], "No module named 'glmm'" in answer["reason"]) == ("absent", True)


def test_a_fit_that_fails_is_an_answer(tmp_path, monkeypatch):
    broken = Fake()
    broken.fitter = lambda model, frame: lambda: 1 / 0
    monkeypatch.setattr(worker.contestants, "load", lambda entry: broken)
    answer = ask(SMALL, tmp_path)
    assert (answer["status"], answer["reason"]) == ("failed", "ZeroDivisionError: division by zero")


def test_repeats_stop_with_the_budget_and_leave_the_first_call_out():
    calls = []
    timing, value = measure.repeat(lambda: calls.append(1) or len(calls), budget=10.0, max_repeats=4)
    assert (timing.repeats, len(calls), value) == (4, 5, 5)
    once, _ = measure.repeat(lambda: None, budget=0.0)
    assert once.repeats == 0
    assert once.seconds == once.first


def test_the_command_line_chooses(capsys):
    assert [model.id for model in command_line.chosen_models("cbpp,kwdyz", None)] == ["cbpp", "kwdyz"]
    assert set(command_line.chosen_models(None, "first")) < set(MODELS)
    with pytest.raises(SystemExit, match="no model called nothing"):
        command_line.chosen_models("nothing", None)
    with pytest.raises(SystemExit, match="no contestant called spss"):
        command_line.chosen_contestants("spss")
    assert command_line.main(["list"]) == 0
    assert "sleepstudy" in capsys.readouterr().out


def test_results_of_a_run_are_written_and_flags_said(tmp_path, monkeypatch, capsys):
    def measured(entries, models, settings, say):
        for entry, objective in zip(entries, (5.0, 4.0), strict=True):
            header = {"date": "d", "machine": "m", "threads": 1, "load": 0.0, "contestant": entry.name}
            yield run.records.from_fields(header | {"model": "cbpp", "status": "ok", "objective": objective})

    monkeypatch.setattr(command_line, "run", measured)
    out = tmp_path / "out.csv"
    arguments = ["--models", "cbpp", "--contestants", "mixedmodels,lme4", "--out", str(out)]
    assert command_line.main(["run", *arguments]) == 0
    status = command_line.main(arguments)
    assert status == 0
    assert len(run.records.read(out)) == 2
    assert "FLAGGED cbpp: mixedmodels stops 1 above the best" in capsys.readouterr().out


def test_the_peers_get_an_environment_of_their_own(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(environment.subprocess, "run", lambda command, check: commands.append(command))
    environment.install(tmp_path / "bin" / "python")
    assert commands[0][1:] == ["-m", "venv", str(tmp_path)]
    assert commands[1][-1].endswith("requirements.txt")
