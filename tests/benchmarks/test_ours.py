"""The package itself as a contestant, through the same worker as the others."""

import json

import pytest

from benchmarks import contestants, frames, run, worker
from benchmarks.run import Settings
from benchmarks.suite import Model

ROWS = (("rows", 200), ("groups", 20))


@pytest.mark.parametrize(
    "model",
    [
        Model("l", "slopes", "y ~ x + (x | g)", simulated=True, arguments=ROWS, target_refit=1.0),
        Model("g", "slopes_bernoulli", "y ~ x + (1 | g)", family="binomial", simulated=True, arguments=ROWS),
    ],
    ids=["linear", "generalized"],
)
def test_our_fits_are_measured(model, tmp_path):
    data = frames.store(model, tmp_path)
    request, response = tmp_path / "request", tmp_path / "response"
    request.write_text(run.json_request(contestants.find("mixedmodels"), model, data, Settings(budget=0.01)))
    worker.main(str(request), str(response))
    answer = json.loads(response.read_text())
    assert answer["status"] == "ok", answer
    assert answer["evaluations"] > 0
    assert answer["optimization_seconds"] > 0.0
    assert answer["errors_seconds"] > 0.0
    assert answer["errors_cpu_seconds"] >= 0.0
    assert ("refit_seconds" in answer) is (model.target_refit is not None)
