"""Which covariance parameters the design cannot tell apart, whatever the response.

Up to weights ``Var(y) = sum_k v_k V_k`` with known matrices V_k, the residual's among them. Two sets of
parameters that give the same matrix give the same likelihood; for REML the same on the contrasts free of the
fixed effects, ``P V_k P`` with P the projection off X. The parameters are identified where these matrices are
linearly independent, which bilinear forms tell (:mod:`mixedmodels.optimization.covariance_forms`).

Contrasts of some rows are contrasts of all, so that a few rows are enough to certify most designs. What they
leave open all rows decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.deferred import on_first_use
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.kernels.level_products import regular_pairs

with on_first_use():
    from mixedmodels.optimization import covariance_forms, flat_trades
    from mixedmodels.optimization import identification_words as words

if TYPE_CHECKING:
    from mixedmodels.optimization.covariance_forms import Direction, Rows

#: Rows among which regular levels are counted, first fewer, which do for most.
SOME_ROWS, MANY_ROWS = 1_500, 20_000
#: Share of the cross-products of a level's columns that is left of the last when it is regular.
REGULAR = 1e-4
#: Least singular value, relative to the largest, of forms that certify a design: far above rounding.
INDEPENDENT = 1e-5
#: The same below which the objective is asked whether the data tell parameters apart that the design does
#: barely; healthy designs stay above one and a half times it. Elements of such a direction below a share of
#: the largest are left out.
NEARLY, FAINT = 0.1, 0.2
TRADED = "as much as there is of one may go to the other, and the likelihood hardly changes"
#: Length of a trial step into the covariances, relative to them, and what it may miss being one by.
TRIAL, TRIAL_TOLERANCE = 1e-4, 1e-3


def unidentified(
    terms: Sequence[RandomTerm],
    theta: FloatArray,
    fixed: FloatArray | ColumnMatrix | None = None,
    labels: Callable[[], Sequence[str]] = tuple,
    root_weights: FloatArray | None = None,
    *,
    residual: bool,
    objective: Callable[[FloatArray], float] | None = None,
) -> tuple[str, ...]:
    """Return one sentence for each direction in which covariance parameters cannot be told apart.

    Parameters
    ----------
    terms : sequence of RandomTerm
        Terms in design order.
    theta : ndarray, shape (n_theta,)
        Estimates: a direction that leads out of the covariances from there does not count.
    fixed : ndarray or ColumnMatrix, shape (n, p), optional
        Fixed-effects matrix whose space the criterion takes no contrasts from (REML); None for maximum
        likelihood.
    labels : callable
        Returns what each column of `fixed` belongs to.
    root_weights : ndarray, shape (n,), optional
        Square roots of the prior weights.
    residual : bool
        Whether the model has a residual variance.
    objective : callable, optional
        Criterion at a theta: with it, directions count in which the design tells parameters apart, if barely,
        and the data do not.
    """
    if not terms or (len(theta) == 1 and not residual):
        return ()
    all_count = root_weights is None or bool(root_weights.all())
    if all_count and _is_certified(terms, 0 if fixed is None else fixed.shape[1], residual):
        return ()
    parameters = covariance_forms.directions_of(terms, theta, residual)
    rows = _few_rows(terms)
    if len(rows) < len(terms[0].codes):
        forms, _ = covariance_forms.bilinear_forms(
            covariance_forms.gathered_rows(terms, fixed, root_weights, rows), parameters
        )
        s = np.linalg.svd(forms, compute_uv=False)
        if s[-1] > (INDEPENDENT if objective is None else NEARLY) * s[0]:
            return ()
    everything = covariance_forms.gathered_rows(terms, fixed, root_weights, None)
    forms, sizes = covariance_forms.bilinear_forms(everything, parameters)
    null = _null_space(forms, covariance_forms.DEPENDENT)
    if null is None:
        return (
            ()
            if objective is None
            else _flat_sentences(everything, theta, parameters, forms, sizes, objective)
        )
    free = _open_directions(everything, theta, parameters, _sparse_basis(null / sizes, sizes))
    return tuple(
        words.sentence(everything, labels(), parameters, vectors)
        for vectors in _gathered(everything, parameters, free)
    )


def _is_certified(terms: Sequence[RandomTerm], p: int, residual: bool) -> bool:
    """Tell whether counts alone show that the parameters are identified.

    A combination ``sum_t Z_t D_t Z_t' + c I`` that vanishes on the contrasts free of p fixed effects has rank
    2 p at most. Its rank is no less than that of the largest factor's part less the others', and the part of
    a factor has the rank of its regular levels or more unless D is zero: so D is zero for the largest factor,
    then for the next. With fewer effects than rows, by more than 2 p, c is zero to begin with.
    """
    groups: dict[str, list[RandomTerm]] = {}
    for term in terms:
        is_free = term.structure.is_unstructured or covariance_forms.is_diagonal(term)
        if term.relationship is not None or not is_free:
            return False
        groups.setdefault(term.group, []).append(term)
    effects = sorted((sum(t.size for t in own) * own[0].n_levels, group) for group, own in groups.items())
    n, taken = len(terms[0].codes), 2 * p
    if residual and n - sum(count for count, _ in effects) <= taken:
        return False
    for count, group in effects:
        if all(_regular_levels(groups[group], most) <= taken for most in (SOME_ROWS, MANY_ROWS)):
            return False
        taken += count
    return True


def _regular_levels(terms: Sequence[RandomTerm], most: int) -> int:
    """Return how many levels of a factor tell all its coefficients apart, as far as `most` rows show."""
    if len(terms) == terms[0].size == 1 and terms[0].Z.strides[0] == 0:
        return terms[0].n_levels
    codes = terms[0].codes[:most]
    Z = terms[0].Z[:most] if len(terms) == 1 else np.column_stack([term.Z[:most] for term in terms])
    if Z.shape[1] == 2:
        return regular_pairs(codes, terms[0].n_levels, Z, REGULAR)
    scale = np.sqrt(np.einsum("ij,ij->j", Z, Z))
    if not scale.all():
        return 0
    Z, S = Z / scale, Z.shape[1]
    gram = np.empty((int(codes.max()) + 1, S, S))
    for i in range(S):
        for j in range(i + 1):
            gram[:, i, j] = gram[:, j, i] = np.bincount(codes, weights=Z[:, i] * Z[:, j])
    values = np.linalg.eigvalsh(gram)
    return int(np.count_nonzero(values[:, 0] > REGULAR * values[:, -1]))


def _few_rows(terms: Sequence[RandomTerm]) -> IntArray:
    """Return rows of a few levels of every factor, coarse factors first."""
    rows, few = np.arange(len(terms[0].codes)), covariance_forms.FEW_ROWS
    for term in sorted(terms, key=lambda term: term.n_levels):
        if len(rows) <= few:
            return rows
        codes = term.codes[rows]
        size = np.bincount(codes, minlength=term.n_levels)
        n_kept = 1 + int(np.searchsorted(np.cumsum(size[size > 0]), 2 * few))
        last = np.flatnonzero(size > 0)[: max(n_kept, 3)][-1]
        rows = rows[codes <= last]
    return rows[:few] if len(rows) <= 2 * few else rows[:: len(rows) // few][:few]


def _flat_sentences(
    rows: Rows,
    theta: FloatArray,
    parameters: Sequence[Direction],
    forms: FloatArray,
    sizes: FloatArray,
    objective: Callable[[FloatArray], float],
) -> tuple[str, ...]:
    """Return one sentence for each direction along which matrices nearly vanish and the objective is flat."""
    nearly = _null_space(forms, NEARLY)
    if nearly is None or not all(term.structure.is_unstructured for term in rows.terms):
        return ()
    sentences = []
    for w in nearly:
        w = np.where(np.abs(w) < FAINT * np.abs(w).max(), 0.0, w)
        v = w / sizes
        changes = {}
        for t, change in covariance_forms.changes_along(rows.terms, parameters, v).items():
            inverse = np.linalg.inv(rows.bases[t])
            changes[t] = inverse @ change @ inverse.T
        grows = float(v[-1]) if parameters[-1].term < 0 else 0.0
        # Two coefficients of one factor are as near as the place of zero on their scale puts them.
        groups = {rows.terms[t].group for t in changes} | ({"residual"} if grows else set())
        if len(groups) > 1 and flat_trades.is_flat(objective, rows.terms, theta, changes, grows):
            names = words.listed_names(words.moved_names(rows, parameters, [v]))
            sentences.append(f"The data do not tell {names} apart: {TRADED}.")
    return tuple(sentences)


def _null_space(forms: FloatArray, least: float) -> FloatArray | None:
    """Return the combinations of columns that (nearly) vanish, one a row; None if there are none."""
    _, s, V = np.linalg.svd(forms, full_matrices=False)
    vanishing = s <= least * s[0]
    return np.asarray(V[vanishing]) if vanishing.any() else None


def _sparse_basis(null: FloatArray, sizes: FloatArray) -> list[FloatArray]:
    """Return a basis of the same space with many zeros, by elimination; elements count by their size."""
    rows = null * sizes
    for i in range(len(rows)):
        k = int(np.argmax(np.abs(rows[i])))
        rows[i] /= rows[i, k]
        for other in range(len(rows)):
            if other != i:
                rows[other] = rows[other] - rows[other, k] * rows[i]
    rows = np.where(np.abs(rows) < words.NEGLIGIBLE * np.abs(rows).max(axis=1, keepdims=True), 0.0, rows)
    return list(rows / sizes)


def _open_directions(
    rows: Rows, theta: FloatArray, parameters: Sequence[Direction], basis: Sequence[FloatArray]
) -> list[FloatArray]:
    """Return directions, of the space of some, along which covariances stay covariances.

    Covariances of full rank stay so whatever the direction. One that has lost rank keeps to its range, on
    which two covariances may still trade what they have in common; or one of them grows beyond its own.
    """
    found = [v for v in basis if _is_open(rows, theta, parameters, v)]
    growing = (-1, *range(len(rows.terms)))
    for t in growing if not found else ():
        kept = _within_ranges(rows, theta, parameters, basis, growing=t)
        found = [v for v in kept if _is_open(rows, theta, parameters, v)]
        if found:
            break
    return found


def _within_ranges(
    rows: Rows,
    theta: FloatArray,
    parameters: Sequence[Direction],
    basis: Sequence[FloatArray],
    growing: int,
) -> list[FloatArray]:
    """Return a basis of the directions that keep every covariance but one in its range."""
    leaving = [np.zeros((len(basis), 0))]
    for t, (term, part) in enumerate(zip(rows.terms, theta_slices(rows.terms), strict=True)):
        if t == growing:
            continue
        U, s, _ = np.linalg.svd(rows.bases[t] @ term.structure.factor(theta[part]))
        null = U[:, s <= covariance_forms.DEPENDENT * max(s[0], np.finfo(np.float64).tiny)]
        still = np.zeros((term.size, term.size))
        changes = [covariance_forms.changes_along(rows.terms, parameters, v).get(t, still) for v in basis]
        leaving.append(np.array([(null.T @ change).ravel() for change in changes]))
    outside = np.concatenate(leaving, axis=1)
    U, s, _ = np.linalg.svd(outside)
    rank = int(np.count_nonzero(s > words.NEGLIGIBLE * np.abs(outside).max(initial=0.0)))
    return [np.asarray(c @ np.array(basis)) for c in U[:, rank:].T]


def _is_open(rows: Rows, theta: FloatArray, parameters: Sequence[Direction], v: FloatArray) -> bool:
    """Tell whether covariances stay covariances some way along a direction or its opposite."""
    changes = covariance_forms.changes_along(rows.terms, parameters, v)
    return any(
        _stays(rows, theta, {t: sign * change for t, change in changes.items()})
        and not any(p.one_sided and sign * c < 0.0 for p, c in zip(parameters, v, strict=True))
        for sign in (1.0, -1.0)
    )


def _stays(rows: Rows, theta: FloatArray, changes: Mapping[int, FloatArray]) -> bool:
    for t, change in changes.items():
        term, part = rows.terms[t], theta_slices(rows.terms)[t]
        root = rows.bases[t] @ term.structure.factor(theta[part])
        covariance = root @ root.T
        size = max(float(np.trace(covariance)), np.finfo(np.float64).tiny)
        step = TRIAL * size * change / np.abs(change).max()
        if np.linalg.eigvalsh(covariance + step)[0] < -TRIAL * TRIAL_TOLERANCE * size:
            return False
    return True


def _gathered(
    rows: Rows, parameters: Sequence[Direction], vectors: Sequence[FloatArray]
) -> list[list[FloatArray]]:
    """Gather the directions that move the same terms, and whose matrices vanish for the same reason."""
    found: dict[tuple[bool, tuple[int, ...]], list[FloatArray]] = {}
    for v in vectors:
        moved = {parameter.term for parameter, c in zip(parameters, v, strict=True) if c != 0.0}
        is_random = covariance_forms.vanishes(replace(rows, fixed=rows.fixed[:, :0]), parameters, v)
        key = is_random, tuple(sorted(moved))
        found.setdefault(key, []).append(v)
    return list(found.values())
