"""Internal quantities of a mixed model by lme4's names, ``getME(m, "theta")``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.model_terms import random_effects_matrix, relative_factor, theta_index
from mixedmodels.formula.design.theta import term_factors


def get_me(model: MixedFit, name: str) -> Any:
    """Return one internal quantity of a mixed model.

    Raises
    ------
    ControlError
        If there is no such quantity; the message lists all names.
    """
    if not isinstance(name, str) or name not in _QUANTITIES:
        raise ControlError(f"getME knows no {shown(name)}; it knows {', '.join(sorted(_QUANTITIES))}.")
    return _QUANTITIES[name](model)


def _z_list(model: MixedFit) -> list[sparse.csc_array]:
    return [random_effects_matrix((term,), model.design.n_rows) for term in model.random]


def _lambda(model: MixedFit) -> sparse.csc_array:
    return relative_factor(model.random, model.theta_values)


def _stacked(parts: tuple[FloatArray, ...]) -> FloatArray:
    return np.concatenate([part.ravel() for part in parts])


def _cumulated(sizes: list[int]) -> list[int]:
    return [0, *np.cumsum(sizes).tolist()]


def _lower(model: MixedFit) -> list[float]:
    bounded = [at_zero for t in model.random for at_zero in t.structure.is_lower_bound()]
    return [0.0 if at_zero else -np.inf for at_zero in bounded]


def _cnms(model: MixedFit) -> dict[str, list[str]]:
    return {t.label: list(t.columns) for t in model.random}


_QUANTITIES: dict[str, Callable[[MixedFit], Any]] = {
    "X": lambda m: m.design.X,
    "Z": lambda m: random_effects_matrix(m.random, m.design.n_rows),
    "Zt": lambda m: sparse.csc_array(random_effects_matrix(m.random, m.design.n_rows).T),
    "Ztlist": lambda m: [sparse.csc_array(Z.T) for Z in _z_list(m)],
    "mmList": lambda m: {t.expression: np.asarray(t.Z) for t in m.random},
    "y": lambda m: m.y,
    "mu": lambda m: m.mean,
    "u": lambda m: _stacked(m.spherical),
    "b": lambda m: _stacked(m.b),
    "Lambda": _lambda,
    "Lind": lambda m: theta_index(m.random),
    "Lambdat": lambda m: sparse.csc_array(_lambda(m).T),
    "Tlist": lambda m: {
        t.label: T for t, T in zip(m.random, term_factors(m.random, m.theta_values), strict=True)
    },
    "A": lambda m: sparse.csc_array(_lambda(m).T @ random_effects_matrix(m.random, m.design.n_rows).T),
    "RX": lambda m: np.linalg.cholesky(np.linalg.inv(m.unscaled_vcov)).T,
    "is_REML": lambda m: m.is_reml,
    "sigma": lambda m: m.sigma(),
    "flist": lambda m: {t.group: np.array(t.levels, dtype=object)[t.codes] for t in m.random},
    "fixef": lambda m: m.fixef(),
    "beta": lambda m: m.beta,
    "theta": lambda m: m.theta(),
    "par": lambda m: m.theta().to_numpy(),
    "lower": _lower,
    "offset": lambda m: np.zeros(len(m.y)) if m.design.offset is None else m.design.offset,
    "weights": lambda m: m.prior_weights,
    "cnms": _cnms,
    "Gp": lambda m: _cumulated([t.n_levels * t.size for t in m.random]),
    "Tp": lambda m: _cumulated([t.structure.n_theta for t in m.random]),
    "n_rtrms": lambda m: len(m.random),
    "n_rfacs": lambda m: len(m.ngrps()),
    "N": lambda m: len(m.y),
    "n": lambda m: m.nobs(),
    "p": lambda m: len(m.beta),
    "q": lambda m: sum(t.n_levels * t.size for t in m.random),
    "p_i": lambda m: {t.label: t.size for t in m.random},
    "l_i": lambda m: {t.group: t.n_levels for t in m.random},
    "q_i": lambda m: {t.label: t.n_levels * t.size for t in m.random},
    "k": lambda m: len(m.random),
    "m_i": lambda m: {t.label: t.structure.n_theta for t in m.random},
    "m": lambda m: len(m.theta()),
}
