"""Least squares of a crossover trial, subjects random in the expected mean squares, as UNIANOVA has it.

All effects are fixed; hypotheses of the sequences and of the intercept give subjects equal weights within
their sequence, and are tested against the mixture of the mean squares of subjects and of the error whose
expectation is theirs (Searle 1971, Linear Models, chapter 11), with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import mixedmodels as mm
from mixedmodels.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class MeanSquare:
    """A mean square and its degrees of freedom."""

    value: float
    df: float


@dataclass(frozen=True, slots=True)
class Crossover:
    """The least-squares fit of period, treatment and subject, and what hypotheses need of it.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Coefficients by reference cells.
    XtX_inverse : ndarray, shape (p, p)
        Their covariance over the variance of the error.
    error : MeanSquare
        Of the error.
    hypotheses : dict of str to ndarray, each (df, p)
        Rows of the type III hypothesis of each effect.
    weights : dict of str to ndarray, each (df, S)
        What those of intercept, sequence and subject(sequence) give the subjects.
    """

    beta: FloatArray
    XtX_inverse: FloatArray
    error: MeanSquare
    hypotheses: dict[str, FloatArray]
    weights: dict[str, FloatArray]

    def effect(self, name: str) -> MeanSquare:
        """Return the mean square of an effect."""
        L = self.hypotheses[name]
        estimate = L @ self.beta
        middle = L @ self.XtX_inverse @ L.T
        return MeanSquare(float(estimate @ np.linalg.solve(middle, estimate)) / len(L), float(len(L)))

    def denominator(self, name: str) -> MeanSquare:
        """Return the mean square that an effect is tested against."""
        if name not in ("Intercept", "sequence"):
            return self.error
        subjects = self.effect("subject(sequence)")
        share = self._subject_variance(name) / self._subject_variance("subject(sequence)")
        value = share * subjects.value + (1.0 - share) * self.error.value
        parts = (share * subjects.value) ** 2 / subjects.df
        parts += ((1.0 - share) * self.error.value) ** 2 / self.error.df
        return MeanSquare(value, value**2 / parts)

    def _subject_variance(self, name: str) -> float:
        """Return the coefficient of the variance of subjects in an expected mean square."""
        L, U = self.hypotheses[name], self.weights[name]
        return float(np.trace(np.linalg.solve(L @ self.XtX_inverse @ L.T, U @ U.T))) / len(L)

    def test(self, name: str) -> dict[str, float]:
        """Return the test of an effect."""
        top, bottom = self.effect(name), self.denominator(name)
        f = top.value / bottom.value
        return {
            "ss": top.value * top.df,
            "num_df": top.df,
            "f": f,
            "p_f": float(stats.f.sf(f, top.df, bottom.df)),
            "den_ss": bottom.value * bottom.df,
            "den_df": bottom.df,
            "den_ms": bottom.value,
        }


def crossover(data: pd.DataFrame) -> tuple[Any, Crossover]:
    """Return the linear model of ``log(PK)``, and its hypotheses.

    Parameters
    ----------
    data : DataFrame
        Columns subject, period, sequence, treatment (categorical) and PK.
    """
    fit = mm.lm("log(PK) ~ subject + period + treatment", data)
    names = list(fit.fixef().index)
    subjects = list(data["subject"].cat.categories)
    sequence_of = data.groupby("subject", observed=True)["sequence"].first().astype(str)[subjects]
    sequences = sorted(sequence_of.unique())
    at = np.array([[float(s == q) for s in sequence_of] for q in sequences])
    average = at / at.sum(axis=1, keepdims=True)
    within = np.vstack([_differences(own) for own in at])
    # Type III: the intercept's hypothesis is orthogonal to those of sequences and subjects.
    share = 1.0 / (1.0 + 1.0 / at.sum(axis=1))
    weights = {
        "Intercept": (share / share.sum() @ average)[None],
        "sequence": average[1:] - average[0],
        "subject(sequence)": within,
    }
    subject_columns = [names.index(f"subject{s}") if f"subject{s}" in names else -1 for s in subjects]
    own = {
        effect: [k for k, name in enumerate(names) if name.startswith(effect)]
        for effect in ("period", "treatment")
    }
    hypotheses = {effect: np.eye(len(names))[columns] for effect, columns in own.items()}
    for effect, U in weights.items():
        L = np.zeros((len(U), len(names)))
        for place, column in enumerate(subject_columns):
            if column >= 0:
                L[:, column] = U[:, place]
        hypotheses[effect] = L
    overall = hypotheses["Intercept"]
    overall[:, names.index("(Intercept)")] = 1.0
    for columns in own.values():
        overall[:, columns] = 1.0 / (len(columns) + 1)
    error = MeanSquare(fit.sigma() ** 2, float(fit.df_residual()))
    beta = np.asarray(fit.fixef(), dtype=np.float64)
    XtX_inverse = np.asarray(fit.vcov(), dtype=np.float64) / error.value
    return fit, Crossover(beta, XtX_inverse, error, hypotheses, weights)


def _differences(members: FloatArray) -> FloatArray:
    """Return the differences of subjects from the first of their sequence."""
    first, *others = np.flatnonzero(members).tolist()
    rows = np.zeros((len(others), len(members)))
    for k, other in enumerate(others):
        rows[k, other], rows[k, first] = 1.0, -1.0
    return rows
