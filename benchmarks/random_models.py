"""Random linear mixed models of every shape, seeded, for the search for second optima.

Small designs with few levels, terms without intercept, double bars, several and crossed factors, covariates
far from zero, responses of any scale and of no structure at all: what an exercise or a pilot study looks like
on a bad day, where likelihoods have more than one optimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

Kind = Literal["plain", "uncentred"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Fixed parts and random terms; ``g`` stands for a factor.
FIXED = (
    "1", "x1", "x1 + x3", "f1", "0 + f1", "f1 + x2", "x1 + x2 + x3", "x1 + x2 + x3 + f1",
    "h1/x3", "h1 * x1", "x3 + I(x3^2)",
)  # fmt: skip
RANDOM = (
    "(1 | g)", "(1 | g)", "(x1 | g)", "(1 + x3 | g)", "(0 + x1 | g)", "(0 + x1 + x3 | g)", "(x1 || g)",
    "(x1 + x3 || g)", "(h1 | g)", "(f1 + x3 | g)", "(x1 + x2 | g)", "(0 + h1 | g)", "(x2 || g)",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RandomModel:
    """A model and its data.

    Attributes
    ----------
    kind : {"plain", "uncentred"}
        Whether covariates are near zero or far from it.
    seed : int
        What it was drawn from.
    formula : str
        lme4's formula.
    data : DataFrame
        The variables, with ``w`` and ``off`` where the model has weights and an offset.
    REML : bool
        Which criterion.
    """

    kind: Kind
    seed: int
    formula: str
    data: pd.DataFrame
    REML: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of ``lmer`` beyond formula and data."""
        named = {"weights": "w", "offset": "off"}
        return {"REML": self.REML} | {k: v for k, v in named.items() if v in self.data}


def draw(kind: Kind, seed: int) -> RandomModel:
    """Draw a model."""
    rng = np.random.default_rng([seed, kind == "uncentred"])
    n = int(
        rng.choice([rng.integers(8, 16), rng.integers(16, 40), rng.integers(40, 120), rng.integers(120, 260)])
    )
    data = _covariates(rng, kind, n)
    for factor in ("g1", "g2", "g3"):
        data[factor] = _levels(rng, factor, n)
    terms = [str(t) for t in rng.choice(RANDOM, size=rng.choice([1, 1, 1, 2, 2, 3]))]
    terms = [term.replace("g)", f"g{k})") for k, term in enumerate(terms, 1)]
    data["y"] = _response(rng, data, len(terms))
    if rng.random() < 0.15:
        data["w"] = rng.gamma(2.0, size=n)
    if rng.random() < 0.15:
        data["off"] = data["y"].std() * rng.choice([0.1, 1.0, 3.0]) * rng.standard_normal(n)
    formula = " + ".join([f"y ~ {rng.choice(FIXED)}", *terms])
    return RandomModel(kind, seed, formula, data, bool(rng.random() < 0.6))


def _covariates(rng: np.random.Generator, kind: Kind, n: int) -> pd.DataFrame:
    far = kind == "uncentred"
    columns: dict[str, Any] = {}
    for name in ("x1", "x3"):
        spread = 10.0 ** rng.uniform(-1.0, 1.5)
        centre = spread * 10.0 ** rng.uniform(0.5, 3.5) if far else spread * rng.uniform(-1.0, 1.0)
        columns[name] = centre + spread * rng.standard_normal(n)
    columns["x2"] = rng.integers(0, 8, n).astype(float)
    columns["f1"] = np.array(["a", "b", "c"])[np.arange(n) % 3]
    columns["h1"] = np.array(["hi", "lo"])[rng.integers(0, 2, n)]
    return pd.DataFrame(columns)


def _levels(rng: np.random.Generator, factor: str, n: int) -> list[str]:
    q = int(rng.integers(2, max(3, min(n // 2, 25)) + 1))
    share = rng.dirichlet(np.full(q, rng.choice([0.5, 3.0, 50.0])))
    return [f"{factor}_{level}" for level in rng.choice(q, size=n, p=share)]


def _response(rng: np.random.Generator, data: pd.DataFrame, n_terms: int) -> np.ndarray:
    n = len(data)
    y = rng.standard_normal(n) if rng.random() < 0.7 else rng.standard_t(2.0, n)
    for k in range(1, n_terms + 1):
        level = pd.factorize(data[f"g{k}"])[0]
        sizes = rng.choice([0.0, 0.3, 1.0, 5.0, 30.0], size=3, p=[0.35, 0.25, 0.2, 0.1, 0.1])
        effects = rng.standard_normal((level.max() + 1, 3)) * sizes
        if rng.random() < 0.2:
            effects[:, 1] = -effects[:, 0]
        slopes = [(data[x] - data[x].mean()) / data[x].std() for x in ("x1", "x3")]
        y = y + effects[level, 0] + effects[level, 1] * slopes[0] + effects[level, 2] * slopes[1]
    return np.asarray((y + rng.normal(0.0, 3.0)) * 10.0 ** rng.uniform(-3.0, 3.5))
