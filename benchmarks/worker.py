"""One configuration in a process of its own: ``python -m benchmarks.worker request.json response.json``.

Imports only what every contestant's environment has (numpy, pandas) until the contestant itself is loaded.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, median
from typing import Any

import pandas as pd

from benchmarks import contestants, frames, machine, measure
from benchmarks.suite import Model

WARM_UP = {
    True: Model("warm-up", "small_linear", "y ~ x + (1 | g)", simulated=True),
    False: Model("warm-up", "small_binary", "y ~ x + (1 | g)", family="binomial", simulated=True),
}
"""A small fit before the clock starts, so that lazy imports are not charged to fits too long to repeat."""


def main(request_path: str, response_path: str) -> None:
    """Answer one request; whatever goes wrong is the answer's reason."""
    request = json.loads(Path(request_path).read_text())
    warnings.simplefilter("ignore")
    try:
        response = answer(request)
    except ImportError as error:
        response = {"status": "absent", "reason": f"{type(error).__name__}: {error}"}
    except Exception as error:
        response = {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    Path(response_path).write_text(json.dumps(response))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Fit the model of a request as often as its budget allows and return what was measured."""
    entry = contestants.find(request["contestant"])
    model = model_from(request["model"])
    contestant = contestants.load(entry)
    response: dict[str, Any] = {"version": installed(contestant)}
    reason = contestants.unsupported(contestant, model)
    if reason:
        return response | {"status": "unsupported", "reason": reason}
    frame = frames.read(Path(request["data"]))
    warm_up(contestant, WARM_UP[model.linear])
    call = contestant.fitter(model, frame)
    resident = measure.reset_peak()
    peaks: list[float] = []
    inside: list[float] = []
    errors: list[tuple[float, float]] = []

    def look(fit: Any) -> None:
        peaks.append(measure.peak())
        if hasattr(contestant, "standard_errors"):
            errors.append(measure.once(lambda: contestant.standard_errors(fit)))
        inside.append(contestant.outcome(model, fit).optimization_seconds or float("nan"))

    timing, fit = measure.repeat(call, request["budget"], look=look)
    outcome = contestant.outcome(model, fit)
    response |= {
        "status": "ok",
        "rows": len(frame),
        "frame_mb": frames.megabytes(frame),
        "seconds": timing.seconds,
        "fastest": timing.fastest,
        "cpu_seconds": timing.cpu_seconds,
        "first": timing.first,
        "repeats": timing.repeats,
        "peak_mb": peaks[0],
        "fit_mb": peaks[0] - resident,
        "objective": float(outcome.objective),
        "evaluations": outcome.evaluations,
        "optimization_seconds": None if outcome.optimization_seconds is None else min(inside),
    }
    if errors:
        walls, cpus = zip(*errors[1:] or errors, strict=True)
        response |= {"errors_seconds": median(walls), "errors_cpu_seconds": mean(cpus)}
    if model.target_refit is not None:
        response |= refit(contestant, model, fit, frame, request["budget"])
    return response


def warm_up(contestant: contestants.Contestant, model: Model) -> None:
    """Fit the small model once where the contestant can express it."""
    if contestant.unsupported(model) is None:
        contestant.fitter(model, frames.build(model))()


def refit(
    contestant: contestants.Contestant, model: Model, fit: Any, frame: pd.DataFrame, budget: float
) -> dict[str, float]:
    """Time a refit to the new response that is stored with the data; empty where the package cannot refit."""
    call = contestant.refitter(model, fit, frame[frames.NEW_RESPONSE].to_numpy(float))
    if call is None:
        return {}
    timing, _ = measure.repeat(call, budget)
    return {"refit_seconds": timing.seconds, "refit_cpu_seconds": timing.cpu_seconds}


def model_from(fields: dict[str, Any]) -> Model:
    """Restore a model from JSON."""
    fields = fields | {"arguments": tuple(map(tuple, fields["arguments"])), "tags": tuple(fields["tags"])}
    return Model(**fields)


def installed(contestant: contestants.Contestant) -> str:
    """Return the installed version; for this package the checkout the code runs from, if there is one."""
    commit = machine.commit()
    try:
        found = version(contestant.DISTRIBUTION)
    except PackageNotFoundError:
        return f"checkout {commit}".strip()
    return f"checkout {commit}" if contestant.DISTRIBUTION == "mixedmodels" and commit else found


if __name__ == "__main__":
    main(*sys.argv[1:])
