"""Which covariance parameters the design cannot tell apart, whatever the response.

Up to weights ``Var(y) = sum_k v_k V_k`` with known matrices V_k, the residual's among them. Two sets of
parameters that give the same matrix give the same likelihood; for REML the same on the contrasts free of the
fixed effects, ``P V_k P`` with P the projection off X. The parameters are identified where these matrices are
linearly independent. They are never formed: bilinear forms ``r'P V_k P s`` at random r and s, a few more than
there are parameters, depend linearly on each other exactly where the matrices do (almost surely). Their
products average to the inner products of the matrices, so that they are as near to dependent as those are;
quadratic forms would not be, having the traces in common.

Contrasts of some rows are contrasts of all, so that a few rows are enough to certify most designs. What they
leave open all rows decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.covariance.jacobian import factor_jacobian
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.sparse_root import Relationship
from mixedmodels.formula.design.theta import theta_slices
from mixedmodels.optimization.flat_trades import is_flat

#: Rows asked first: a handful of levels of every factor in most designs.
FEW_ROWS = 64
#: Rows among which regular levels are counted, first fewer, which do for most.
SOME_ROWS, MANY_ROWS = 1_500, 20_000
#: Share of the cross-products of a level's columns that is left of the last when it is regular.
REGULAR = 1e-4
#: Bilinear forms beyond the number of parameters; the more, the better conditioned.
SPARE_FORMS = 12
#: Least singular value, relative to the largest, of forms that certify a design: far above rounding.
INDEPENDENT = 1e-5
#: Least singular value, relative to the largest, that is dependence up to rounding.
DEPENDENT = 1e-9
#: The same below which the objective is asked whether the data tell parameters apart that the design does
#: barely; healthy designs stay above one and a half times it. Elements of such a direction below a share of
#: the largest are left out.
NEARLY, FAINT = 0.1, 0.2
TRADED = "as much as there is of one may go to the other, and the likelihood hardly changes"
#: Elements of a direction below this, relative to the largest, are none.
NEGLIGIBLE = 1e-5
#: Elements of a term's covariance that are named one by one.
MOST_NAMED = 2
#: The label of the intercept.
INTERCEPT = "(Intercept)"
#: A pivot of a term's unit columns below this is rounding: the columns are dependent.
DEPENDENT_COLUMN = 1e-11
#: Length of a trial step into the covariances, relative to them, and what it may miss being one by.
TRIAL, TRIAL_TOLERANCE = 1e-4, 1e-3


@dataclass(frozen=True, slots=True)
class Direction:
    """One covariance parameter: how it moves the covariance of its term.

    Attributes
    ----------
    term : int
        Position of the term; -1 for the residual variance.
    change : ndarray, shape (S, S)
        Symmetric derivative of the covariance of one level, in the basis of the columns used here.
    one_sided : bool
        Whether the parameter is at its bound, from where it can only grow.
    name : str
        What it is called: the names of its coefficients, or of a parameter of the structure.
    """

    term: int
    change: FloatArray
    one_sided: bool
    name: str


@dataclass(frozen=True, slots=True)
class _Rows:
    """Weighted rows of the model that are looked at.

    Attributes
    ----------
    X : ndarray, shape (n, p)
        Fixed effects from which the criterion is free.
    fixed : ndarray, shape (n, r)
        Orthonormal basis of their space.
    Z : tuple of ndarray, each (n, S)
        Columns of the terms, those of an unstructured one made orthogonal: only their space matters, and a
        year far from zero is no reason to doubt.
    bases : tuple of ndarray, each (S, S)
        R of every term, with Z R its own columns.
    codes : tuple of ndarray, each (n,)
        Levels.
    terms : tuple of RandomTerm
        Terms.
    """

    X: FloatArray
    fixed: FloatArray
    Z: tuple[FloatArray, ...]
    bases: tuple[FloatArray, ...]
    codes: tuple[CodeArray, ...]
    terms: tuple[RandomTerm, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.fixed)


def unidentified(
    terms: Sequence[RandomTerm],
    theta: FloatArray,
    fixed: FloatArray | ColumnMatrix | None = None,
    labels: Sequence[str] = (),
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
    labels : sequence of str
        What each column of `fixed` belongs to.
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
    parameters = _directions(terms, theta, residual)
    rows = _few_rows(terms)
    if len(rows) < len(terms[0].codes):
        forms, _ = _forms(_rows(terms, fixed, root_weights, rows), parameters)
        s = np.linalg.svd(forms, compute_uv=False)
        if s[-1] > (INDEPENDENT if objective is None else NEARLY) * s[0]:
            return ()
    everything = _rows(terms, fixed, root_weights, None)
    forms, sizes = _forms(everything, parameters)
    null = _null_space(forms, DEPENDENT)
    if null is None:
        return (
            ()
            if objective is None
            else _flat_sentences(everything, theta, parameters, forms, sizes, objective)
        )
    free = _open_directions(everything, theta, parameters, _sparse_basis(null / sizes, sizes))
    return tuple(
        _sentence(everything, labels, parameters, vectors)
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
        if term.relationship is not None or not (term.structure.is_unstructured or _is_diagonal(term)):
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
    Z = np.concatenate([term.Z[:most] for term in terms], axis=1)
    scale = np.sqrt(np.einsum("ij,ij->j", Z, Z))
    if not scale.all():
        return 0
    Z, S = Z / scale, Z.shape[1]
    gram = np.empty((int(codes.max()) + 1, S, S))
    for i in range(S):
        for j in range(i + 1):
            gram[:, i, j] = gram[:, j, i] = np.bincount(codes, weights=Z[:, i] * Z[:, j])
    if S == 2:
        least = gram[:, 0, 0] * gram[:, 1, 1] - gram[:, 0, 1] ** 2
        return int(np.count_nonzero(least > REGULAR * gram[:, 0, 0] * gram[:, 1, 1]))
    values = np.linalg.eigvalsh(gram)
    return int(np.count_nonzero(values[:, 0] > REGULAR * values[:, -1]))


def _directions(terms: Sequence[RandomTerm], theta: FloatArray, residual: bool) -> list[Direction]:
    """Return the covariance parameters of all terms, and the residual variance last."""
    found: list[Direction] = []
    for t, (term, part) in enumerate(zip(terms, theta_slices(terms), strict=True)):
        moves_variances = term.structure.is_unstructured or _is_diagonal(term)
        found += _plain_directions(t, term) if moves_variances else _curved_directions(t, term, theta[part])
    return [*found, Direction(-1, np.ones((1, 1)), False, "residual")] if residual else found


def _is_diagonal(term: RandomTerm) -> bool:
    """Tell whether the coefficients of a term are uncorrelated, the parameters their deviations."""
    rows, columns = term.structure.places()
    return bool((rows == columns).all() and (term.structure.parameter_at() >= 0).all())


def _plain_directions(t: int, term: RandomTerm) -> list[Direction]:
    """Return the variances and covariances of a term, those that share a parameter together."""
    structure = term.structure
    places, parameter = np.stack(structure.places()).T, structure.parameter_at()
    names = structure.parameter_names(term.columns)
    return [
        Direction(t, _unit(term.size, places[parameter == k]), False, name) for k, name in enumerate(names)
    ]


def _curved_directions(t: int, term: RandomTerm, theta: FloatArray) -> list[Direction]:
    """Return the derivatives of ``T T'`` in the parameters, for a deviation at zero those in its square."""
    structure, found = term.structure, []
    T, jacobian = structure.factor(theta), factor_jacobian(structure, theta)
    bounded, names = structure.is_lower_bound(), structure.parameter_names(term.columns)
    for k, name in enumerate(names):
        half = jacobian[k] @ T.T
        change, at_zero = half + half.T, bounded[k] and theta[k] == 0.0
        if at_zero:
            grown = structure.factor(np.where(np.arange(len(theta)) == k, 1.0, theta))
            change = grown @ grown.T - T @ T.T
        if change.any():
            found.append(Direction(t, change, at_zero, name))
    return found


def _unit(size: int, cells: IntArray) -> FloatArray:
    unit = np.zeros((size, size))
    for i, j in cells:
        unit[i, j] = unit[j, i] = 1.0
    return unit


def _few_rows(terms: Sequence[RandomTerm]) -> IntArray:
    """Return rows of a few levels of every factor, coarse factors first."""
    rows = np.arange(len(terms[0].codes))
    for term in sorted(terms, key=lambda term: term.n_levels):
        if len(rows) <= FEW_ROWS:
            return rows
        codes = term.codes[rows]
        size = np.bincount(codes, minlength=term.n_levels)
        n_kept = 1 + int(np.searchsorted(np.cumsum(size[size > 0]), 2 * FEW_ROWS))
        last = np.flatnonzero(size > 0)[: max(n_kept, 3)][-1]
        rows = rows[codes <= last]
    return rows[:FEW_ROWS] if len(rows) <= 2 * FEW_ROWS else rows[:: len(rows) // FEW_ROWS][:FEW_ROWS]


def _rows(
    terms: Sequence[RandomTerm],
    fixed: FloatArray | ColumnMatrix | None,
    root_weights: FloatArray | None,
    rows: IntArray | None,
) -> _Rows:
    """Gather the rows asked for, weighted, X orthonormal and the columns of unstructured terms as well."""
    chosen = slice(None) if rows is None else rows
    root = None if root_weights is None else root_weights[chosen, None]
    n = len(terms[0].codes) if rows is None else len(rows)
    X = np.zeros((n, 0)) if fixed is None else _weighted(fixed[chosen], root)
    Z, bases = zip(*(_in_basis(term, _weighted(term.Z[chosen], root)) for term in terms), strict=True)
    return _Rows(X, _orthonormal(X), Z, bases, tuple(term.codes[chosen] for term in terms), tuple(terms))


def _weighted(columns: FloatArray, root: FloatArray | None) -> FloatArray:
    return columns if root is None else columns * root


def _orthonormal(X: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the space of columns, which may depend on each other on few rows."""
    scale = np.sqrt(np.einsum("ij,ij->j", X, X))
    X = X[:, scale > 0.0] / scale[scale > 0.0]
    if not X.shape[1]:
        return X
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    return np.asarray(U[:, s > DEPENDENT_COLUMN * s[0]])


def _in_basis(term: RandomTerm, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Q of orthogonal columns of mean square 1 and R with ``Z = Q R``; Z and I where that fails."""
    if term.size == 1 or not term.structure.is_unstructured:
        return Z, np.eye(term.size)
    scale = np.sqrt(np.einsum("ij,ij->j", Z, Z) / len(Z))
    if scale.all():
        Q, R = np.linalg.qr(Z / scale)
        root = np.sqrt(len(Z))
        if np.abs(R.diagonal()).min() > DEPENDENT_COLUMN * root:
            return Q * root, R * scale / root
    return Z, np.eye(Z.shape[1])


def _forms(rows: _Rows, parameters: Sequence[Direction]) -> tuple[FloatArray, FloatArray]:
    """Return random bilinear forms of every parameter's matrix over its size, (forms, parameters); sizes.

    The size of a matrix is its Frobenius norm, or a little more. Each random vector serves in two forms.
    """
    r = _random_rows(rows.n, len(parameters) + SPARE_FORMS)
    e = r - rows.fixed @ (rows.fixed.T @ r)
    by_term = [
        _level_products(z, codes, term, e)
        for z, codes, term in zip(rows.Z, rows.codes, rows.terms, strict=True)
    ]
    forms, sizes = np.empty((e.shape[1], len(parameters))), np.empty(len(parameters))
    for k, parameter in enumerate(parameters):
        if parameter.term < 0:
            forms[:, k], sizes[k] = np.einsum("it,it->t", e, np.roll(e, -1, axis=1)), np.sqrt(rows.n)
        else:
            products, size = by_term[parameter.term]
            forms[:, k] = products.reshape(len(forms), -1) @ parameter.change.ravel()
            sizes[k] = float(np.sum(np.abs(parameter.change) * size)) or 1.0
    return forms / sizes, sizes


def _random_rows(n: int, count: int) -> FloatArray:
    return (
        _few_random_rows(n, count) if n <= FEW_ROWS else np.random.default_rng(0).standard_normal((n, count))
    )


@lru_cache(maxsize=8)
def _few_random_rows(n: int, count: int) -> FloatArray:
    return np.random.default_rng(0).standard_normal((n, count))


def _level_products(
    Z: FloatArray, codes: CodeArray, term: RandomTerm, e: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ``sum_l (Z_l'e)(Z_l'f)'``, f the column after e, and the norms of the matrices of the forms."""
    S = Z.shape[1]
    by_level = _indicators(term, codes)
    products = np.stack([by_level @ (Z[:, [a]] * e) for a in range(S)])
    squares = by_level @ (Z * Z)
    norms = np.sqrt(squares.T @ squares)
    if term.relationship is not None:
        products = term.relationship.T @ products
        norms = _related_norms(term.relationship, np.sqrt(squares))
    flat = products.transpose(2, 0, 1)
    return flat @ np.roll(flat, -1, axis=0).transpose(0, 2, 1), norms


def _related_norms(R: Relationship, d: FloatArray) -> FloatArray:
    """Return the norms of ``D_a R R' D_b``, D diagonal, from random vectors: whole products cost q^3."""
    v = _random_rows(len(d), SPARE_FORMS)
    applied = np.stack([R @ (R.T @ (d[:, [b]] * v)) for b in range(d.shape[1])])
    return np.asarray(np.sqrt(np.einsum("qa,bqt->ab", d * d, applied**2) / SPARE_FORMS))


def _indicators(term: RandomTerm, codes: CodeArray) -> Any:
    """Return which rows belong to each level, dense where they are few."""
    if len(codes) <= FEW_ROWS:
        levels = np.arange(term.n_levels) if term.relationship is not None else np.unique(codes)
        return (levels[:, None] == codes).astype(np.float64)
    n = len(codes)
    return csr_array((np.ones(n), codes, np.arange(n + 1)), shape=(n, term.n_levels)).T


def _flat_sentences(
    rows: _Rows,
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
        for t, change in _changes(rows.terms, parameters, v).items():
            inverse = np.linalg.inv(rows.bases[t])
            changes[t] = inverse @ change @ inverse.T
        grows = float(v[-1]) if parameters[-1].term < 0 else 0.0
        # Two coefficients of one factor are as near as the place of zero on their scale puts them.
        groups = {rows.terms[t].group for t in changes} | ({"residual"} if grows else set())
        if len(groups) > 1 and is_flat(objective, rows.terms, theta, changes, grows):
            names = _listed(_names(rows, parameters, [v]))
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
    rows = np.where(np.abs(rows) < NEGLIGIBLE * np.abs(rows).max(axis=1, keepdims=True), 0.0, rows)
    return list(rows / sizes)


def _open_directions(
    rows: _Rows, theta: FloatArray, parameters: Sequence[Direction], basis: Sequence[FloatArray]
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
    rows: _Rows,
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
        null = U[:, s <= DEPENDENT * max(s[0], np.finfo(np.float64).tiny)]
        still = np.zeros((term.size, term.size))
        changes = [_changes(rows.terms, parameters, v).get(t, still) for v in basis]
        leaving.append(np.array([(null.T @ change).ravel() for change in changes]))
    outside = np.concatenate(leaving, axis=1)
    U, s, _ = np.linalg.svd(outside)
    rank = int(np.count_nonzero(s > NEGLIGIBLE * np.abs(outside).max(initial=0.0)))
    return [np.asarray(c @ np.array(basis)) for c in U[:, rank:].T]


def _is_open(rows: _Rows, theta: FloatArray, parameters: Sequence[Direction], v: FloatArray) -> bool:
    """Tell whether covariances stay covariances some way along a direction or its opposite."""
    changes = _changes(rows.terms, parameters, v)
    return any(
        _stays(rows, theta, {t: sign * change for t, change in changes.items()})
        and not any(p.one_sided and sign * c < 0.0 for p, c in zip(parameters, v, strict=True))
        for sign in (1.0, -1.0)
    )


def _stays(rows: _Rows, theta: FloatArray, changes: Mapping[int, FloatArray]) -> bool:
    for t, change in changes.items():
        term, part = rows.terms[t], theta_slices(rows.terms)[t]
        root = rows.bases[t] @ term.structure.factor(theta[part])
        covariance = root @ root.T
        size = max(float(np.trace(covariance)), np.finfo(np.float64).tiny)
        step = TRIAL * size * change / np.abs(change).max()
        if np.linalg.eigvalsh(covariance + step)[0] < -TRIAL * TRIAL_TOLERANCE * size:
            return False
    return True


def _changes(
    terms: Sequence[RandomTerm], parameters: Sequence[Direction], v: FloatArray
) -> dict[int, FloatArray]:
    """Return the change of the covariance of every term along a direction, where there is any."""
    changes: dict[int, FloatArray] = {}
    for parameter, c in zip(parameters, v, strict=True):
        if c != 0.0 and parameter.term >= 0:
            changes[parameter.term] = changes.get(parameter.term, 0.0) + c * parameter.change
    return changes


def _gathered(
    rows: _Rows, parameters: Sequence[Direction], vectors: Sequence[FloatArray]
) -> list[list[FloatArray]]:
    """Gather the directions that move the same terms, and whose matrices vanish for the same reason."""
    found: dict[tuple[bool, tuple[int, ...]], list[FloatArray]] = {}
    for v in vectors:
        moved = {parameter.term for parameter, c in zip(parameters, v, strict=True) if c != 0.0}
        key = _vanishes(replace(rows, fixed=rows.fixed[:, :0]), parameters, v), tuple(sorted(moved))
        found.setdefault(key, []).append(v)
    return list(found.values())


def _vanishes(rows: _Rows, parameters: Sequence[Direction], v: FloatArray) -> bool:
    """Tell whether a direction moves nothing on given rows."""
    forms, sizes = _forms(rows, parameters)
    return bool(np.abs(forms @ (v * sizes)).max() <= DEPENDENT * np.abs(v * sizes).max())


def _sentence(
    rows: _Rows, labels: Sequence[str], parameters: Sequence[Direction], vectors: Sequence[FloatArray]
) -> str:
    """Say in words what the directions leave undetermined."""
    what = _listed(_names(rows, parameters, vectors))
    what = what[0].upper() + what[1:]
    if not _vanishes(replace(rows, fixed=rows.fixed[:, :0]), parameters, vectors[0]):
        return f"{what} cannot be told apart from {_fixed_names(rows, labels, parameters, vectors)}."
    v = vectors[0][vectors[0] != 0.0]
    if len(v) == 1:
        return f"{what} has no effect on the response: its column is zero."
    is_sum = (
        "covariance" not in what
        and len(vectors) == 1
        and len(v) == 2
        and abs(v.sum()) < NEGLIGIBLE * np.abs(v).max()
    )
    known = "their sum is" if is_sum else "some combinations of them are"
    return f"{what} cannot be told apart: only {known} known."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _names(rows: _Rows, parameters: Sequence[Direction], vectors: Sequence[FloatArray]) -> list[str]:
    """Return what directions move, in words, the residual variance last."""
    names: list[str] = []
    moved = [p for k, p in enumerate(parameters) if any(v[k] != 0.0 for v in vectors)]
    for t in dict.fromkeys(p.term for p in moved if p.term >= 0):
        term = rows.terms[t]
        if not (term.structure.is_unstructured or _is_diagonal(term)):
            own = " and ".join(p.name for p in moved if p.term == t)
            names.append(f"{own} in {term.structure.name}({term.expression})")
            continue
        cells = _moved_cells(rows, t, [_changes(rows.terms, parameters, v).get(t) for v in vectors])
        if len(cells) > MOST_NAMED:
            kinds = "variances" if all(i == j for i, j in cells) else "variances and covariances"
            names.append(f"the {kinds} in ({term.expression})")
            continue
        for i, j in cells:
            a, b = term.columns[i], term.columns[j]
            what = f"variance of {a}" if i == j else f"covariance of {b} and {a}"
            names.append(f"the {what} in ({term.expression})")
    return [*names, "the residual variance"] if moved[-1].term < 0 else names


def _moved_cells(rows: _Rows, t: int, changes: Sequence[FloatArray | None]) -> list[tuple[int, int]]:
    """Return the cells of the covariance of the user's coefficients that directions move, lower triangle."""
    term, inverse = rows.terms[t], np.linalg.inv(rows.bases[t])
    width = np.sqrt(np.einsum("ij,ij->j", term.Z, term.Z))
    moved = np.zeros((term.size, term.size), dtype=np.bool_)
    for change in changes:
        if change is not None:
            size = np.abs(inverse @ change @ inverse.T) * np.multiply.outer(width, width)
            moved |= size > NEGLIGIBLE * size.max()
    return [(int(i), int(j)) for i, j in np.argwhere(np.tril(moved))]


def _fixed_names(
    rows: _Rows, labels: Sequence[str], parameters: Sequence[Direction], vectors: Sequence[FloatArray]
) -> str:
    """Name the one term of the fixed effects that holds the columns of the random ones, or all of them."""
    for label in dict.fromkeys(labels):
        own = [k for k, other in enumerate(labels) if other in (label, INTERCEPT)]
        alone = replace(rows, fixed=_orthonormal(rows.X[:, own]))
        if label != INTERCEPT and all(_vanishes(alone, parameters, v) for v in vectors):
            return f"the fixed effects of {label}"
    return f"the fixed effects ({', '.join(dict.fromkeys(labels))})"
