"""The models behind the published tables, as data: how to fit each, and which table shows which."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import pandas as pd

import mixedmodels as mm
from mixedmodels.checks import COARSE
from mixedmodels.datasets import load_dataset
from mixedmodels.errors import ApproximationWarning


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fit one model: the function, the data set, the formula and the options."""

    function: Literal["lmer", "glmer", "glm"]
    data: str
    formula: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a published table shows.

    Attributes
    ----------
    fits : mapping of str to str
        The table's name for a fit (empty where it shows only one) -> its name in `RECIPES`.
    words : mapping of str to str
        The table's words for a quantity -> the words that the rules of ``quantities`` know.
    """

    fits: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


TOXO_CUBIC = "cbind(r, m - r) ~ rain + I(rain^2) + I(rain^3) + (1 | city)"
TOXO_LINEAR = "cbind(r, m - r) ~ rain + (1 | city)"
TOENAIL = "Response ~ Month * Treatment + (1 | ID)"
SEIZURES = "count ~ offset(log(weeks)) + followup * group"
RATS = "weight ~ week + (week | rat)"
BINOMIAL: dict[str, Any] = {"family": "binomial"}
POISSON: dict[str, Any] = {"family": "poisson"}


def _toxoplasmosis() -> dict[str, Recipe]:
    """Return the models of the toxoplasmosis data: four GLMs, and two GLMMs by three methods."""
    glms = {"constant": "1", "linear": "rain", "quadratic": "poly(rain, 2)", "cubic": "poly(rain, 3)"}
    recipes = {
        f"toxo_{name}": Recipe("glm", "toxoplasmosis", f"cbind(r, m - r) ~ {fixed}", BINOMIAL)
        for name, fixed in glms.items()
    }
    quasi = {"family": "quasibinomial"}
    recipes["toxo_quasi"] = Recipe("glm", "toxoplasmosis", "cbind(r, m - r) ~ poly(rain, 3)", quasi)
    methods: dict[str, dict[str, Any]] = {
        "quadrature": {"nAGQ": 25},
        "laplace": {"nAGQ": 1},
        "pql": {"method": "pql"},
    }
    for method, options in methods.items():
        for degree, formula in {"linear": TOXO_LINEAR, "cubic": TOXO_CUBIC}.items():
            name = f"toxo_{degree}_{method}"
            recipes[name] = Recipe("glmer", "toxoplasmosis", formula, BINOMIAL | options)
    return recipes


def _contraception() -> dict[str, Recipe]:
    """Return the six models of the contraception data, cm1 to cm6."""
    with_children = "use ~ age * ch + I(age^2) + urban"
    formulas = {
        "cm1": "use ~ age + I(age^2) + urban + livch + (1 | district)",
        "cm2": "use ~ age + I(age^2) + urban + ch + (1 | district)",
        "cm3": f"{with_children} + (1 | district)",
        "cm4": f"{with_children} + (urban | district)",
        "cm5": f"{with_children} + (1 | urban:district) + (1 | district)",
        "cm6": f"{with_children} + (1 | urban:district)",
    }
    return {name: Recipe("glmer", "Contraception", formula, BINOMIAL) for name, formula in formulas.items()}


RECIPES: dict[str, Recipe] = {
    **_toxoplasmosis(),
    **_contraception(),
    # Least squares: "quasi" is constant variance with the dispersion RSS / (n - p).
    "rats_lm": Recipe("glm", "rats", "weight ~ week", {"family": "quasi"}),
    "rats_reml": Recipe("lmer", "rats", RATS),
    "rats_ml": Recipe("lmer", "rats", RATS, {"REML": False}),
    "rats_quadratic": Recipe("lmer", "rats", "weight ~ week + I(week^2) + (week | rat)", {"REML": False}),
    **{
        f"toenail_{nodes}": Recipe("glmer", "toenail", TOENAIL, BINOMIAL | {"nAGQ": nodes})
        for nodes in (1, 3, 5, 10, 20, 25)
    },
    "toenail_pql": Recipe("glmer", "toenail", TOENAIL, BINOMIAL | {"method": "pql"}),
    "seizures_slope": Recipe("glmer", "seizures", f"{SEIZURES} + (1 + followup | id)", POISSON),
    "seizures_quadrature": Recipe("glmer", "seizures", f"{SEIZURES} + (1 | id)", POISSON | {"nAGQ": 20}),
    "seizures_laplace": Recipe("glmer", "seizures", f"{SEIZURES} + (1 | id)", POISSON),
    "dyestuff": Recipe("lmer", "Dyestuff", "Yield ~ 1 + (1 | Batch)"),
    "cbpp": Recipe("glmer", "cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", BINOMIAL),
    "cbpp_obs": Recipe(
        "glmer", "cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd) + (1 | obs)", BINOMIAL
    ),
}

TOXO_WORDS = {"sigma_b": "sd (Intercept)"}
RATS_WORDS = {"sd(b0)": "sd (Intercept)", "sd(b1)": "sd week", "corr": "correlation"}
TOENAIL_WORDS = {
    "beta0": "(Intercept)",
    "beta1 (Treatment)": "Treatment",
    "beta2 (Month)": "Month",
    "beta3 (interaction)": "Month:Treatment",
}
SEIZURES_WORDS = {
    "variance followup": "variance followupTRUE",
    "sd followup": "sd followupTRUE",
    "corr": "correlation",
}

CONTENTS: dict[str, Contents] = {
    "Toxoplasmosis data and fitted models (deviances)": Contents(
        {
            "Constant": "toxo_constant",
            "Linear": "toxo_linear",
            "Quadratic": "toxo_quadratic",
            "Cubic": "toxo_cubic",
        },
        {"df": "df.resid"},
    ),
    "Toxoplasmosis quasi-likelihood": Contents(
        {"": "toxo_quasi", "cubic": "toxo_quasi", "constant": "toxo_constant"},
        {"X2 (Pearson, cubic)": "Pearson X2", "sigma^2": "dispersion"},
    ),
    "Rat growth data (printed rows)": Contents(),
    "Rat growth, simple linear regression": Contents({"": "rats_lm"}),
    "Rat growth LMM, REML (ML in brackets)": Contents({"REML": "rats_reml", "ML": "rats_ml"}, RATS_WORDS),
    "Rat growth, quadratic v linear (full ML)": Contents(
        {"quadratic": "rats_quadratic", "linear": "rats_ml"}
    ),
    **{
        f"Toxoplasmosis revisited, {degree} GLMM: {printed}": Contents(
            {"": f"toxo_{degree}_{method}"}, TOXO_WORDS
        )
        for degree in ("linear", "cubic")
        for printed, method in {"ML (quadrature)": "quadrature", "Laplace": "laplace", "PQL": "pql"}.items()
    },
    **{name: Contents({"": name}, {"deviance (-2 logLik)": "-2 logLik"}) for name in _contraception()},
    "anova(cm6, cm5, cm4)": Contents(
        {name: name for name in ("cm4", "cm5", "cm6")}, {"dev": "-2 logLik", "df": "npar"}
    ),
    **{
        f"Toenail, quadrature Q = {nodes}": Contents({"": f"toenail_{nodes}"}, TOENAIL_WORDS)
        for nodes in (1, 3, 5, 10, 20, 25)
    },
    # The text labels this table Q = 25; its numbers are those of Q = 20.
    'Toenail coefficient table, labelled "For Q = 25"': Contents({"": "toenail_20"}),
    "Toenail, PQL (gamm of package mgcv)": Contents({"": "toenail_pql"}),
    "Epileptic seizures glmm1 (random intercept and followup)": Contents(
        {"": "seizures_slope"}, SEIZURES_WORDS
    ),
    "Epileptic seizures glmm2GQ (random intercept, nAGQ = 20)": Contents({"": "seizures_quadrature"}),
    "Epileptic seizures glmm2LA (random intercept, Laplace)": Contents({"": "seizures_laplace"}),
    "Dyestuff data (columns = batches)": Contents(),
    "Dyestuff REML fit": Contents({"": "dyestuff"}, {"deviance (ML at REML estimates)": "deviance"}),
    "CBPP m1 (Laplace)": Contents({"": "cbpp"}, {"deviance": "-2 logLik"}),
    "CBPP m2 (observation-level random effect)": Contents({"": "cbpp_obs"}, {"deviance": "-2 logLik"}),
}


def _with_children(data: pd.DataFrame) -> pd.DataFrame:
    """Add `ch`: whether there are living children."""
    labels = data["livch"].ne("0").map({False: "N", True: "Y"})
    return data.assign(ch=pd.Categorical(labels, categories=["N", "Y"]))


def _toenail_columns(data: pd.DataFrame) -> pd.DataFrame:
    """Name and code the columns as the text does."""
    return data.assign(
        Response=data["outcome"].eq("moderate or severe").astype(int),
        Month=data["time"],
        Treatment=data["treatment"].eq("terbinafine").astype(int),
        ID=data["patientID"],
    )


PREPARATIONS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "Contraception": _with_children,
    "toenail": _toenail_columns,
    "seizures": lambda data: data.assign(followup=data["visit"] > 0),
    "cbpp": lambda data: data.assign(obs=pd.Categorical(range(1, len(data) + 1))),
}


def prepared_data(name: str) -> pd.DataFrame:
    """Return the data set with the columns that the models of the texts use."""
    data = load_dataset(name)
    return PREPARATIONS[name](data) if name in PREPARATIONS else data


@cache
def fit(name: str) -> Any:
    """Fit the model `RECIPES` calls by this name; fitted once, however many tables show it."""
    recipe = RECIPES[name]
    function = getattr(mm, recipe.function)
    with warnings.catch_warnings():
        # Some tables show how coarse the approximations are that they print.
        warnings.filterwarnings("ignore", COARSE, ApproximationWarning)
        return function(recipe.formula, prepared_data(recipe.data), **recipe.options)
