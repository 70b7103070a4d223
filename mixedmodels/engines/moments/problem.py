"""The problem of a linear mixed model from sums over its rows: as from the rows, up to rounding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.engines.column_basis import DEPENDENT_PIVOT, ColumnBasis, column_basis
from mixedmodels.engines.linear.problem import EXACT_FIT, LinearProblem
from mixedmodels.engines.linear.solvers import solver_of
from mixedmodels.engines.linear.system import Equations
from mixedmodels.engines.moments.basis import semidefinite_root
from mixedmodels.engines.moments.pair_sums import PairArray, in_order
from mixedmodels.engines.moments.sums import Sums
from mixedmodels.engines.orthonormal import RANK_TOLERANCE, OrthonormalBasis
from mixedmodels.errors import DataError
from mixedmodels.factorization.blocks import Block, amalgamate
from mixedmodels.factorization.chain_and_tail import build_pattern
from mixedmodels.factorization.constant.assembly import assemble, relate
from mixedmodels.factorization.constant.cross_products import RightHandSide
from mixedmodels.factorization.pattern import Pairs
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices

#: Share of its length below which a column of V is nothing but rounding.
ROUNDING = 1e-14


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FixedPart:
    """Fixed effects and response in coordinates of V.

    Attributes
    ----------
    X, y : ndarray, shape (m, p) and (m,)
        A triangle with the products of all rows: as many pseudo-rows as columns.
    F : ndarray, shape (m, p)
        Coordinates in V of the orthonormal columns.
    f : ndarray, shape (m,)
        Those of the residual e of the response.
    basis : OrthonormalBasis
        Orthonormal fixed effects.
    projection : ndarray, shape (p,)
        Products of the orthonormal columns with the response.
    rss : float
        ``e'e``.
    """

    X: FloatArray
    y: FloatArray
    F: FloatArray
    f: FloatArray
    basis: OrthonormalBasis
    projection: FloatArray
    rss: float


def pseudo_rows(sums: Sums) -> FloatArray:
    """Return a triangle P, shape (m, m), with ``P'P = U'WU``: all that the columns of U say of each other."""
    L, _ = semidefinite_root(sums.gram + sums.carry, ROUNDING)
    return np.asarray(L.T @ sums.basis.coordinates(sums.columns.has_ones))


def group_rows(sums: Sums, g: int) -> FloatArray:
    """Return the same of the columns whose effects vary over a grouping factor, shape (S, S)."""
    root, _ = _group_root(sums, g)
    return root @ sums.groups[g].basis.coordinates(sums.columns.groups[g].has_ones)


def _group_root(sums: Sums, g: int) -> tuple[FloatArray, Any]:
    """Return upper triangular R with ``R'R`` the products of a factor's columns, and which have no pivot."""
    gram = sums.groups[g].faces().sum(axis=2)
    scale = np.sqrt(np.maximum(np.diagonal(gram), 0.0))
    scale = np.where(scale > 0.0, scale, 1.0)
    L, weak = semidefinite_root(gram / np.multiply.outer(scale, scale), ROUNDING)
    return (L * scale[:, None]).T, weak


def fixed_part(sums: Sums, kept: IntArray) -> FixedPart:
    """Return the fixed effects made orthonormal, and what they leave of the response.

    Parameters
    ----------
    sums : Sums
        The sums.
    kept : ndarray of int, shape (p,)
        Columns of U that are fixed effects of the model, in its order; the last column of U is the response.

    Raises
    ------
    DataError
        If these columns are dependent, or fit the response exactly.
    """
    gram = sums.gram + sums.carry
    scale = np.sqrt(np.maximum(np.diagonal(gram), 0.0))
    scale = np.where(scale > 0.0, scale, 1.0)
    L, weak = semidefinite_root(gram / np.multiply.outer(scale, scale), ROUNDING)
    M = sums.basis.coordinates(sums.columns.has_ones)
    root = (L * scale[:, None]).T
    X, p = root @ M[:, kept], len(kept)
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    if p and not lengths.all():
        raise DataError("a column of the fixed effects is zero in every row.")
    Q, R = np.linalg.qr(X / lengths) if p else (np.zeros((len(M), 0)), np.zeros((0, 0)))
    signs = np.where(np.diagonal(R) < 0.0, -1.0, 1.0)
    Q, R = Q * signs, R * signs[:, None]
    if p and np.diagonal(R).min() < RANK_TOLERANCE:
        raise DataError("the columns of the fixed effects are linearly dependent.")
    y = root @ M[:, -1]
    # What of the response is no combination of the model's columns: the rest goes without subtraction.
    outside = M[:, -1].copy()
    outside[: _unbroken(kept)] = 0.0
    r = root @ outside
    inner = Q.T @ r
    r = r - Q @ inner
    again = Q.T @ r
    r -= Q @ again
    rss = float(r @ r)
    if rss <= EXACT_FIT * float(y @ y):
        raise DataError("The fixed effects fit the response exactly: there is no variation left to model.")
    # Q = root F: the columns of V that are not rounding span those of X.
    F = _solved(root, weak, Q)
    f = outside - F @ (inner + again)
    R_inverse = np.linalg.inv(R) / lengths[:, None] if p else R
    log_det = 2.0 * float(np.log(np.diagonal(R) * lengths).sum())
    absent: Any = AbsentRows(sums.n_rows, p)
    basis = OrthonormalBasis(absent, np.eye(p), R_inverse, log_det)
    return FixedPart(X, y, F, f, basis, Q.T @ y, rss)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HeldColumn:
    """What one fixed effect held at a value leaves.

    Attributes
    ----------
    fixed : FixedPart
        The other fixed effects, the response being ``y - v0 x``.
    direction : ndarray, shape (m,)
        Coordinates in V of what the other columns leave of the column x.
    products : tuple of float
        Product of that with the residual of the response, and with itself.
    projection : ndarray, shape (p - 1,)
        The column on the orthonormal other columns.
    """

    fixed: FixedPart
    direction: FloatArray
    products: tuple[float, float]
    projection: FloatArray


def with_column_held(fixed: FixedPart, k: int, value: float) -> HeldColumn:
    """Return the fixed part without column k, which is held at a value.

    The orthonormal columns are turned such that all but the last span the other columns.
    """
    R = np.linalg.inv(fixed.basis.R_inverse)
    p = len(R)
    H, R1 = np.linalg.qr(np.delete(R, k, axis=1), mode="complete")
    H1, last, R1 = H[:, : p - 1], H[:, p - 1], R1[: p - 1]
    signs = np.where(np.diagonal(R1) < 0.0, -1.0, 1.0)
    H1, R1 = H1 * signs, R1 * signs[:, None]
    rest = fixed.projection - value * R[:, k]
    along, own = float(last @ rest), float(last @ R[:, k])
    q = fixed.F @ last
    log_det = 2.0 * float(np.log(np.diagonal(R1)).sum())
    absent: Any = AbsentRows(fixed.basis.columns.shape[0], p - 1)
    basis = OrthonormalBasis(absent, np.eye(p - 1), np.linalg.inv(R1), log_det)
    others = replace(
        fixed, X=np.delete(fixed.X, k, axis=1), F=fixed.F @ H1, f=fixed.f + along * q, basis=basis,
        projection=H1.T @ rest, rss=fixed.rss + along**2,
    )  # fmt: skip
    return HeldColumn(others, own * q, (along * own, own**2), H1.T @ R[:, k])


def _unbroken(kept: IntArray) -> int:
    """Return how many columns come before the first that is no fixed effect of the model."""
    present = np.isin(np.arange(len(kept) + 1), kept)
    return int(np.argmin(present))


def _solved(root: FloatArray, weak: Any, Q: FloatArray) -> FloatArray:
    """Return F with ``root F = Q``, zero for columns of V that are rounding."""
    F = np.zeros_like(Q)
    strong = ~weak
    F[strong] = np.linalg.solve(root[np.ix_(strong, strong)], Q[strong])
    return F


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TermColumns:
    """The columns of one random-effects term among those of its grouping factor.

    Attributes
    ----------
    group : int
        Number of its grouping factor.
    places : tuple of int
        Its columns among those that are summed for the factor.
    """

    group: int
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MetLevels:
    """Pairs of levels of two grouping factors that meet, in the order of the design.

    Attributes
    ----------
    first, second : int32 ndarray, shape (n_pairs,)
        Levels, sorted by `first`, then `second`.
    sums : ndarray, shape (n_pairs, S, S')
        Products of the columns that are summed for the two; numbers of rows in short integers.
    """

    first: CodeArray
    second: CodeArray
    sums: PairArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SumMeetings:
    """Which levels of two blocks have rows in common, and their products, from sums by pairs.

    Attributes
    ----------
    sums : Sums
        The sums.
    blocks : tuple of Block
        Blocks of terms.
    groups : tuple of int
        Grouping factor of each block.
    E : tuple of ndarray, each (S_g, S)
        Coordinates of the columns of each block among those summed for its factor.
    F : ndarray, shape (m, p)
        Those of the fixed effects in V.
    orders : tuple of ndarray of int, each (q,)
        Level of the design that each level of the sums is.
    found : dict
        Pairs of levels put in order before.
    """

    sums: Sums
    blocks: tuple[Block, ...]
    groups: tuple[int, ...]
    E: tuple[FloatArray, ...]
    F: FloatArray
    orders: tuple[IntArray, ...]
    found: dict[tuple[int, int], MetLevels] = field(default_factory=dict)

    def is_nested(self, inner: int, outer: int) -> bool:
        """Tell whether every level of `inner` occurs with one level of `outer` only."""
        return len(self._levels(inner, outer).first) == self.blocks[inner].n_levels

    def parents(self, inner: int, outer: int) -> IntArray:
        """Return the level of `outer` that each level of `inner`, which is nested in it, lies in, (q,)."""
        met = self._levels(inner, outer)
        parents = np.zeros(self.blocks[inner].n_levels, dtype=np.intp)
        parents[met.first] = met.second
        return parents

    def pairs(self, first: int, second: int) -> Pairs:
        """Return the pairs of levels that occur."""
        met = self._levels(first, second)
        none: CodeArray = np.empty(0, dtype=np.int32)
        return Pairs(none, met.first, met.second)

    def fixed(self, block: int) -> FloatArray:
        """Return fixed effects against a block, a known covariance between its levels applied, (p, S, q)."""
        return relate(self.blocks[block], self._against(block, self.F))

    def response(self, f: FloatArray) -> tuple[FloatArray, ...]:
        """Return the products of each block with the column of V that has coordinates f, each (S, q)."""
        found = (self._against(b, f[:, None])[0] for b in range(len(self.blocks)))
        return tuple(relate(block, values) for block, values in zip(self.blocks, found, strict=True))

    def _against(self, block: int, coordinates: FloatArray) -> FloatArray:
        g = self.groups[block]
        half = np.tensordot(coordinates, self.sums.groups[g].products(), axes=(0, 1))
        values = np.tensordot(self.E[block], half, axes=(0, 1)).transpose(1, 0, 2)
        return self._in_order(values, g)

    def faces(self, block: int) -> FloatArray:
        """Return the products of a block's own columns, (S, S, q)."""
        g, E = self.groups[block], self.E[block]
        return self._in_order(_both_sides(E, self.sums.groups[g].faces(), E), g)

    def _in_order(self, values: FloatArray, g: int) -> FloatArray:
        ordered = np.empty(values.shape)
        ordered[:, :, self.orders[g]] = values
        return ordered

    def link(self, outer: int, inner: int) -> FloatArray:
        """Return the products of two blocks by levels of the inner one, nested in the other, (S, S', q')."""
        first, products = self._levels(inner, outer).first, self._products(inner, outer)
        link = np.empty((self.blocks[outer].size, self.blocks[inner].size, self.blocks[inner].n_levels))
        link[:, :, first] = products.transpose(2, 1, 0)
        return link

    def pair_sums(
        self, pairs: Pairs, first: int, second: int
    ) -> Iterator[tuple[tuple[int, int], FloatArray]]:
        """Yield each pair of coefficients of two blocks with its sums by pair of levels, (n_pairs,)."""
        products = self._products(first, second)
        for i in range(products.shape[1]):
            for k in range(products.shape[2]):
                yield (i, k), products[:, i, k]

    def _levels(self, first: int, second: int) -> MetLevels:
        """Return the levels of both blocks that meet, ascending, with their sums."""
        g, h = self.groups[first], self.groups[second]
        if g == h:
            q = np.arange(self.blocks[first].n_levels, dtype=np.int32)
            return MetLevels(q, q, np.empty((0, 0, 0)))
        if (g, h) not in self.found:
            a, b = min(g, h), max(g, h)
            run = self.sums.total_pairs(a, b)
            order = in_order(run, self.orders[a], self.orders[b], turned=h < g)
            shape = tuple(self.sums.columns.groups[k].size for k in (a, b))
            values = run.sums[order.place].reshape(-1, *shape)
            values = values.transpose(0, 2, 1) if h < g else values
            self.found[g, h] = MetLevels(order.first, order.second, values)
        return self.found[g, h]

    def _products(self, first: int, second: int) -> FloatArray:
        """Return the products of two blocks by pair of levels, (n_pairs, S, S')."""
        g, h = self.groups[first], self.groups[second]
        left, right = self.E[first], self.E[second]
        if g == h:
            faces = _both_sides(left, self.sums.groups[g].faces(), right)
            return self._in_order(faces, g).transpose(2, 0, 1)
        values = self._levels(first, second).sums
        if left.size == right.size == 1:
            products = values.astype(np.float64)
            products *= float(left[0, 0] * right[0, 0])
            return products
        return np.asarray((left.T @ values) @ right)


def _both_sides(left: FloatArray, faces: FloatArray, right: FloatArray) -> FloatArray:
    half = np.tensordot(right, faces, axes=(0, 1)).transpose(1, 0, 2)
    return np.tensordot(left, half, axes=(0, 0))


def problem_of_sums(
    sums: Sums,
    fixed: FixedPart,
    terms: Sequence[RandomTerm],
    columns: Sequence[TermColumns],
    orders: tuple[IntArray, ...],
    *,
    eliminate: bool = True,
) -> LinearProblem:
    """Build everything that never changes during a fit, from sums.

    Parameters
    ----------
    sums : Sums
        The sums.
    fixed : FixedPart
        Fixed effects and response in their coordinates.
    terms : sequence of RandomTerm
        Random-effects terms, whose rows are absent.
    columns : sequence of TermColumns
        Where their columns are.
    orders : tuple of ndarray of int
        By grouping factor, level of the design that each level of the sums is.
    eliminate : bool
        False uses one dense matrix for all random effects.

    Raises
    ------
    DataError
        If no degrees of freedom are left for sigma.
    """
    terms, p = tuple(terms), len(fixed.projection)
    if sums.n <= p:
        raise DataError(f"{sums.n} rows with positive weight cannot estimate {p} fixed effects and sigma.")
    based = [_based_term(sums, own) for own in columns]
    met = meetings(sums, fixed.F, terms, columns, orders)
    blocks = met.blocks
    pattern = build_pattern(blocks, eliminate=eliminate, meetings=met)
    A = assemble(pattern, met, np.eye(p))
    pattern = pattern.without_rows()
    rhs = RightHandSide(met.response(fixed.f), np.zeros(p))
    equations = Equations(pattern, A, rhs, fixed.rss)
    return LinearProblem(
        terms=terms,
        column_bases=tuple(basis for basis, _, _ in based),
        equations=equations,
        solver=solver_of(equations),
        fixed_basis=fixed.basis,
        projection=fixed.projection,
        n=sums.n,
        sum_log_weights=sums.sum_log_weights,
        root_weights=None,
        offset=None,
        parts=tuple(zip(terms, theta_slices(terms), strict=True)),
        scales=np.concatenate(
            [np.empty(0), *(t.structure.scales(scale) for t, (_, _, scale) in zip(terms, based, strict=True))]
        ),
    )


def meetings(
    sums: Sums,
    F: FloatArray,
    terms: tuple[RandomTerm, ...],
    columns: Sequence[TermColumns],
    orders: tuple[IntArray, ...],
) -> SumMeetings:
    """Return the sums by blocks of terms, in the columns that the engine works with."""
    based = [_based_term(sums, own) for own in columns]
    blocks = amalgamate(terms, block=_block_without_rows)
    groups = tuple(columns[block.terms[0]].group for block in blocks)
    E = tuple(np.concatenate([based[k][1] for k in block.terms], axis=1) for block in blocks)
    return SumMeetings(sums, blocks, groups, E, F, orders)


def products_with(
    sums: Sums,
    direction: FloatArray,
    terms: Sequence[RandomTerm],
    columns: Sequence[TermColumns],
    orders: tuple[IntArray, ...],
) -> tuple[FloatArray, ...]:
    """Return the products of each block with the column of V that has these coordinates, each (S, q)."""
    return meetings(sums, np.zeros((len(direction), 0)), tuple(terms), columns, orders).response(direction)


def _block_without_rows(terms: Sequence[RandomTerm], members: list[int]) -> Block:
    first, sizes = terms[members[0]], tuple(terms[k].size for k in members)
    return Block(
        group=first.group,
        terms=tuple(members),
        sizes=sizes,
        codes=np.empty(0, dtype=np.int32),
        n_levels=first.n_levels,
        columns=(None,) * sum(sizes),
        relationship=None if first.relationship is None else np.asarray(first.relationship),
    )


def _based_term(sums: Sums, own: TermColumns) -> tuple[ColumnBasis, FloatArray, FloatArray]:
    """Return the column basis of a term, its coordinates E among the columns summed, and 1 / RMS of Z."""
    root, weak = _group_root(sums, own.group)
    group, about = sums.groups[own.group], sums.columns.groups[own.group]
    M = group.basis.coordinates(about.has_ones)[:, list(own.places)]
    P = root @ M / np.sqrt(sums.n_rows)
    rms = np.sqrt(np.einsum("ij,ij->j", P, P))
    scales = np.where(rms > 0.0, 1.0 / np.where(rms > 0.0, rms, 1.0), 1.0)
    if P.shape[1] > 1 and rms.all():
        # Q C = P as a QR decomposition from the last column to the first.
        Q, R = np.linalg.qr((P / rms)[:, ::-1])
        signs = np.where(np.diagonal(R) < 0.0, -1.0, 1.0)
        if len(R) == P.shape[1] and np.abs(np.diagonal(R)).min() > DEPENDENT_PIVOT and not weak.any():
            Q, C = (Q * signs)[:, ::-1], (R * signs[:, None])[::-1, ::-1] * rms
            basis = ColumnBasis(np.ascontiguousarray(C), np.asarray(np.linalg.inv(C)))
            return basis, np.linalg.solve(root, Q) * np.sqrt(sums.n_rows), scales
    basis = column_basis(P * np.sqrt(len(P)))
    return basis, M @ basis.inverse, scales
