"""Who takes part, and what a contestant must be able to do.

Each Python contestant is one small module in ``peers/`` that offers the functions of ``Contestant``; lme4 is
an R script that follows the same protocol as ``worker.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.suite import Model

Host = Literal["own", "peers", "R"]


class Outcome(NamedTuple):
    """What a fit reached.

    Attributes
    ----------
    objective : float
        REML criterion of a REML fit, otherwise -2 log-likelihood with all its constants.
    evaluations : int, or None
        Evaluations of the objective (gradients that come with it not counted), where the package tells.
    optimization_seconds : float, or None
        Time inside the optimiser, where the package tells.
    """

    objective: float
    evaluations: int | None = None
    optimization_seconds: float | None = None


class Contestant(Protocol):
    """What a module in ``peers/`` offers.

    One whose fits do not hold standard errors yet, or that is to be seen to hold them, has a function
    ``standard_errors(fit)`` too; one for other families than the usual three names them in ``FAMILIES``.
    """

    DISTRIBUTION: str

    def unsupported(self, model: Model) -> str | None:
        """Say why the package cannot express the model, or return None."""

    def fitter(self, model: Model, frame: pd.DataFrame) -> Callable[[], Any]:
        """Return the call to time: from the data frame in memory to a fitted model."""

    def outcome(self, model: Model, fit: Any) -> Outcome:
        """Read the objective and the evaluations off a fit."""

    def refitter(self, model: Model, fit: Any, y: NDArray[np.float64]) -> Callable[[], Any] | None:
        """Return the call that refits to a new response, or None where the package has none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant's name, where it runs, and its module in ``peers/`` (lme4's is an R script)."""

    name: str
    host: Host
    module: str


CONTESTANTS = (
    Entry("mixedmodels", "own", "ours"),
    Entry("lme4", "R", "lme4.R"),
    Entry("glmm", "peers", "glmm_py"),
    Entry("mixedlm", "peers", "mixedlm_py"),
    Entry("lme-python", "peers", "lme_py"),
    Entry("mixedlm-rs", "peers", "mixedlm_rs_py"),
    Entry("statsmodels", "peers", "statsmodels_py"),
    Entry("gpboost", "peers", "gpboost_py"),
)


def find(name: str) -> Entry:
    """Return the contestant of that name.

    Raises
    ------
    KeyError
        If there is no such contestant.
    """
    return {entry.name: entry for entry in CONTESTANTS}[name]


USUAL_FAMILIES = ("gaussian", "binomial", "poisson")


def unsupported(contestant: Contestant, model: Model) -> str | None:
    """Say why a contestant cannot express a model, its family included, or return None."""
    if model.family not in getattr(contestant, "FAMILIES", USUAL_FAMILIES):
        return f"no {model.family} family here"
    return contestant.unsupported(model)


def load(entry: Entry) -> Contestant:
    """Import the module of a Python contestant."""
    return cast(Contestant, import_module(f"benchmarks.peers.{entry.module}"))
