"""The matrices of a mixed model in lme4's layout, for teaching and for extensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.formula.design.build import build_design
from mixedmodels.formula.design.design import Design, NaAction, RandomTerm
from mixedmodels.formula.design.theta import term_factors, theta_names, theta_slices


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelTerms:
    """The pieces of a mixed model ``y = X beta + Z b + e``, ``b = Lambda(theta) u``.

    Attributes
    ----------
    y : ndarray, shape (n,)
        Response (successes, for ``cbind``).
    X : DataFrame, shape (n, p)
        Fixed-effects model matrix with R's column names.
    Z : scipy.sparse.csc_array, shape (n, q)
        Random-effects model matrix: term after term, level after level, coefficient after coefficient.
    Lambda : scipy.sparse.csc_array, shape (q, q)
        Relative covariance factor at the start values; `lambda_at` gives it at any theta.
    theta : ndarray
        Start values of the covariance parameters.
    theta_names : tuple of str
        ``"Subject.(Intercept)"`` and so on, lme4's names.
    Lind : ndarray of int
        For each nonzero of `Lambda` in column order, the element of theta it equals, counted from 0;
        -1 where an entry is no plain element of theta (structures other than ``us`` and ``diag``,
        and terms with known relationships between levels).
    Gp : ndarray of int
        Position in ``b`` at which each term begins, and q at the end.
    flist : dict
        Grouping factor -> pandas.Categorical of the rows.
    cnms : tuple of (str, tuple of str)
        For each term the grouping factor and the names of its coefficients.
    random_names : tuple of str
        One name for each element of ``b``.
    design : Design
        The design these pieces were made from.
    """

    y: FloatArray
    X: pd.DataFrame
    Z: scipy.sparse.csc_array
    Lambda: scipy.sparse.csc_array
    theta: FloatArray
    theta_names: tuple[str, ...]
    Lind: IntArray
    Gp: IntArray
    flist: dict[str, pd.Categorical]
    cnms: tuple[tuple[str, tuple[str, ...]], ...]
    random_names: tuple[str, ...]
    design: Design

    def lambda_at(self, theta: FloatArray) -> scipy.sparse.csc_array:
        """Return the relative covariance factor at `theta`, shape (q, q)."""
        return relative_factor(self.design.random, np.asarray(theta, dtype=np.float64))


@advises
def model_terms(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
) -> ModelTerms:
    """Return the matrices that a formula makes of data, without fitting anything.

    Parameters
    ----------
    formula : str
        lme4 formula.
    data : pandas.DataFrame, dict of arrays, polars.DataFrame or pyarrow.Table
        The data.
    weights, offset, subset, na_action, contrasts, env, relmat
        As for :func:`mixedmodels.lmer`.

    Returns
    -------
    ModelTerms
        X, Z, the Lambda template, theta and all names.

    Examples
    --------
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 0.0, 1.0], "g": ["a", "a", "b", "b"]}
    >>> pieces = model_terms("y ~ x + (x | g)", data)
    >>> pieces.theta_names
    ('g.(Intercept)', 'g.x.(Intercept)', 'g.x')
    >>> pieces.Z.toarray()
    array([[1., 0., 0., 0.],
           [1., 1., 0., 0.],
           [0., 0., 1., 0.],
           [0., 0., 1., 1.]])
    """
    design = build_design(
        formula, data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env, relmat=relmat,
    )  # fmt: skip
    terms = design.random
    theta = np.concatenate([term.structure.start() for term in terms]) if terms else np.empty(0)
    Lambda = relative_factor(terms, theta)
    return ModelTerms(
        y=design.response.values,
        X=pd.DataFrame(design.X, columns=list(design.x_names), index=design.index),
        Z=random_effects_matrix(terms, design.n_rows),
        Lambda=Lambda,
        theta=theta,
        theta_names=theta_names(terms),
        Lind=theta_index(terms),
        Gp=np.cumsum([0] + [term.n_levels * term.size for term in terms]),
        flist={t.group: _categorical(t) for t in terms},
        cnms=tuple((term.group, term.columns) for term in terms),
        random_names=tuple(
            f"{term.label}.{level}.{column}"
            for term in terms
            for level in term.levels
            for column in term.columns
        ),
        design=design,
    )


def _categorical(term: RandomTerm) -> pd.Categorical:
    """Return the grouping factor of a term."""
    dtype = pd.CategoricalDtype(list(term.levels))
    return pd.Categorical.from_codes(term.codes, dtype=dtype)


def random_effects_matrix(terms: tuple[RandomTerm, ...], n_rows: int) -> scipy.sparse.csc_array:
    """Return Z, shape (n, q): in each row the coefficients of its level stand side by side."""
    if not terms:
        return scipy.sparse.csc_array((n_rows, 0))
    rows = np.arange(n_rows)
    blocks = []
    for term in terms:
        S = term.size
        columns = term.codes.astype(np.intp)[:, None] * S + np.arange(S)
        entries = (np.ascontiguousarray(term.Z).ravel(), (np.repeat(rows, S), columns.ravel()))
        blocks.append(scipy.sparse.coo_array(entries, shape=(n_rows, term.n_levels * S)))
    return scipy.sparse.csc_array(scipy.sparse.hstack(blocks, format="csc"))


def relative_factor(terms: tuple[RandomTerm, ...], theta: FloatArray) -> scipy.sparse.csc_array:
    """Return Lambda(theta), shape (q, q): one block a level, or ``L_K (x) T`` for related levels."""
    if not terms:
        return scipy.sparse.csc_array((0, 0))
    blocks = []
    for term, T in zip(terms, term_factors(terms, theta), strict=True):
        places = term.structure.places()
        if term.relationship is None:
            blocks.append(_repeat_block(T, places, term.n_levels))
        else:
            related = scipy.sparse.csc_array(np.asarray(term.relationship))
            blocks.append(scipy.sparse.kron(related, _repeat_block(T, places, 1), format="csc"))
    return scipy.sparse.csc_array(scipy.sparse.block_diag(blocks, format="csc"))


def _repeat_block(T: FloatArray, pattern: tuple[IntArray, IntArray], n_levels: int) -> scipy.sparse.csc_array:
    """Return the block-diagonal matrix of `n_levels` copies of T, zeros inside the pattern stored."""
    S = len(T)
    rows, columns = pattern
    shift = (np.arange(n_levels) * S)[:, None]
    counts = np.bincount(columns, minlength=S)
    indptr = np.concatenate([[0], np.cumsum(np.tile(counts, n_levels))])
    return scipy.sparse.csc_array(
        (np.tile(T[pattern], n_levels), (rows + shift).ravel(), indptr), shape=(n_levels * S, n_levels * S)
    )


def theta_index(terms: tuple[RandomTerm, ...]) -> IntArray:
    """Return lme4's Lind, counted from 0, for the nonzeros of Lambda in column order."""
    parts = []
    for term, part in zip(terms, theta_slices(terms), strict=True):
        if term.relationship is not None:
            parts.append(np.full(np.count_nonzero(term.relationship) * len(term.structure.places()[0]), -1))
        else:
            own = term.structure.parameter_at()
            parts.append(np.tile(np.where(own < 0, -1, part.start + own), term.n_levels))
    return np.concatenate(parts).astype(np.intp) if parts else np.empty(0, dtype=np.intp)
