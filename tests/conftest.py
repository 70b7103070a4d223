"""Data sets and fitted models shared by all tests, each made once per session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
SLEEP = "Reaction ~ Days + (Days | Subject)"
CONTROL = {"check_rank": "ignore"}

# name -> (function, data set, formula, options)
MODELS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "dyestuff": ("lmer", "Dyestuff", "Yield ~ 1 + (1 | Batch)", {}),
    "dyestuff_ml": ("lmer", "Dyestuff", "Yield ~ 1 + (1 | Batch)", {"REML": False}),
    "dyestuff2": ("lmer", "Dyestuff2", "Yield ~ 1 + (1 | Batch)", {}),
    "sleepstudy": ("lmer", "sleepstudy", SLEEP, {}),
    "sleepstudy_ml": ("lmer", "sleepstudy", SLEEP, {"REML": False}),
    "sleepstudy_intercept": ("lmer", "sleepstudy", "Reaction ~ Days + (1 | Subject)", {}),
    "sleepstudy_double_bar": ("lmer", "sleepstudy", "Reaction ~ Days + (Days || Subject)", {}),
    "sleepstudy_rank": (
        "lmer", "sleepstudy", "Reaction ~ Days + Double + (1 | Subject)", {"control": CONTROL},
    ),
    "sleepstudy_arguments": (
        "lmer", "sleepstudy", "Reaction ~ Days + (1 | Subject)",
        {"weights": "w", "offset": "shift", "subset": "Days > 1"},
    ),
    "sleepstudy_no_fixed": ("lmer", "sleepstudy", "Reaction ~ 0 + (1 | Subject)", {"REML": False}),
    "penicillin": ("lmer", "Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", {}),
    "pastes": ("lmer", "Pastes", "strength ~ 1 + (1 | batch/cask)", {}),
    "cake": ("lmer", "cake", "angle ~ recipe + temp + (1 | recipe:replicate)", {}),
    "cake_large": ("lmer", "cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", {}),
    "machines": ("lmer", "Machines", "score ~ Machine + (Machine | Worker)", {}),
    "cbpp": ("glmer", "cbpp", CBPP, {"family": "binomial"}),
    "cbpp_null": (
        "glmer", "cbpp", "cbind(incidence, size - incidence) ~ 1 + (1 | herd)", {"family": "binomial"},
    ),
    "cbpp_agq9": ("glmer", "cbpp", CBPP, {"family": "binomial", "nAGQ": 9}),
    "cbpp_obs": ("glmer", "cbpp", CBPP + " + (1 | obs)", {"family": "binomial"}),
    "cbpp_weights": (
        "glmer", "cbpp", "incidence/size ~ period + (1 | herd)",
        {"family": mm.binomial(link="probit"), "weights": "size", "hessian": "expected"},
    ),
    "cbpp_pql": ("glmer", "cbpp", CBPP, {"family": "binomial", "method": "pql"}),
    "cbpp_glm": ("glm", "cbpp", "cbind(incidence, size - incidence) ~ period", {"family": "binomial"}),
    "cbpp_glm_quasi": (
        "glm", "cbpp", "cbind(incidence, size - incidence) ~ period", {"family": "quasibinomial"},
    ),
    "grouseticks": (
        "glmer", "grouseticks", "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)",
        {"family": "poisson"},
    ),
}  # fmt: skip


@cache
def dataset(name: str) -> pd.DataFrame:
    """Return a data set under its name, with the columns that some models add."""
    data = mm.load_dataset(name)
    data.attrs["name"] = name
    if name == "sleepstudy":
        data["w"] = np.tile([1.0, 2.0, 0.5], 60)
        data["shift"] = np.tile([0.0, 10.0], 90)
        data["Double"] = 2 * data["Days"]
    if name == "cbpp":
        data["obs"] = pd.Categorical([str(i + 1) for i in range(len(data))])
    if name == "Machines":
        data["Worker"] = data["Worker"].cat.reorder_categories(sorted(data["Worker"].cat.categories))
    return data


@cache
def model(name: str) -> Any:
    """Return a fitted model of the table above."""
    function, data, formula, options = MODELS[name]
    return getattr(mm, function)(formula, dataset(data), **options)


@pytest.fixture(scope="session")
def fitted() -> Callable[[str], Any]:
    """Return a function that gives a fitted model by name, fitted once per session."""
    return model


@pytest.fixture(scope="session")
def data() -> Callable[[str], pd.DataFrame]:
    """Return a function that gives a copy of a data set by name."""
    return lambda name: dataset(name).copy()
