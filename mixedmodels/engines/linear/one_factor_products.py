"""Cross-products of the plainest models, one unweighted term and few fixed effects, in one compiled call.

The way of all models is in problem.py and :mod:`mixedmodels.factorization`; it is what this one is held
against, to the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.column_basis import CHOLESKY_PIVOT as OWN_PIVOT
from mixedmodels.engines.column_basis import ColumnBasis
from mixedmodels.engines.orthonormal import CHOLESKY_PIVOT, OrthonormalBasis
from mixedmodels.factorization.blocks import Block, own_column
from mixedmodels.factorization.constant.cross_products import CrossProducts, RightHandSide
from mixedmodels.factorization.constant.rest import FixedRest
from mixedmodels.factorization.pattern import Coupling, Pattern
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.kernels.level_products import COMPILED, MAX_COLUMNS, MAX_FIXED, plain_rows


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PlainProducts:
    """The parts of a linear problem, as :class:`mixedmodels.engines.linear.problem.LinearProblem` has them.

    Attributes
    ----------
    basis : ColumnBasis
        Of the term's columns.
    scales : ndarray, shape (S,)
        1 / RMS of these.
    pattern, A, rhs, rss
        Of the equations.
    fixed_basis, projection
        Of the fixed effects.
    total : float
        Sum of squares of the response.
    """

    basis: ColumnBasis
    scales: FloatArray
    pattern: Pattern
    A: CrossProducts
    rhs: RightHandSide
    rss: float
    fixed_basis: OrthonormalBasis
    projection: FloatArray
    total: float


def is_plain(terms: tuple[RandomTerm, ...], X: ColumnMatrix) -> bool:
    """Tell whether a model without weights is one of these."""
    return (
        COMPILED
        and len(terms) == len(X.pieces) == 1
        and terms[0].relationship is None
        and type(terms[0].Z) is np.ndarray
        and terms[0].size <= MAX_COLUMNS
        and isinstance(X.pieces[0], np.ndarray)
        and 1 <= X.pieces[0].shape[1] <= MAX_FIXED
    )


def plain_products(y: FloatArray, X: ColumnMatrix, term: RandomTerm) -> PlainProducts | None:
    """Return the cross-products of a plain model; None where squares of its columns lose digits.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response less the offset.
    X : ColumnMatrix, shape (n, p)
        Fixed effects, one array.
    term : RandomTerm
        The one term.
    """
    dense = X.pieces[0]
    assert isinstance(dense, np.ndarray)
    found = plain_rows(y, dense, term.Z, term.codes, term.n_levels, CHOLESKY_PIVOT, OWN_PIVOT)
    if found is None:
        return None
    R_inverse, log_det, XX, C, C_inverse, scales, Q, faces, XZ, Ze, fixed, rss, total = found
    S, q = term.size, term.n_levels
    block = Block(term.group, (0,), (S,), term.codes, q, tuple(own_column(column) for column in Q))
    return PlainProducts(
        ColumnBasis(C, C_inverse),
        scales,
        _one_block(block),
        CrossProducts((faces,), {}, (FixedRest(XZ),), np.empty((0, 0)), (XZ,), XX),
        RightHandSide((Ze,), fixed[1]),
        rss,
        OrthonormalBasis(X, R_inverse, R_inverse, log_det),
        fixed[0],
        total,
    )


def _one_block(block: Block) -> Pattern:
    """Return the pattern of one block, which is eliminated and couples with no other."""
    pointers = np.zeros(block.n_levels + 1, dtype=np.intp)
    coupling = Coupling(pointers, np.zeros(0, np.int32), (), ())
    return Pattern((block,), (0,), (), (), 0, {}, (coupling,), {}, {})
