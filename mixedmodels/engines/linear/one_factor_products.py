"""Cross-products of the plainest models, one unweighted term and few fixed effects, in one pass over rows.

The way of all models is in problem.py and :mod:`mixedmodels.factorization`; it is what this one is held
against, to the last bits.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.column_basis import CHOLESKY_PIVOT, ColumnBasis, column_basis
from mixedmodels.engines.orthonormal import OrthonormalBasis
from mixedmodels.factorization.blocks import Block, own_column
from mixedmodels.factorization.constant.cross_products import CrossProducts
from mixedmodels.factorization.constant.rest import FixedRest
from mixedmodels.factorization.pattern import Coupling, Pattern
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.kernels.level_products import COMPILED, MAX_COLUMNS, level_products, reversed_cholesky

#: Fixed effects up to which a row of them is at hand in the pass over the rows.
MOST_FIXED = 16


def is_plain(terms: tuple[RandomTerm, ...], basis: OrthonormalBasis) -> bool:
    """Tell whether a model is one of these."""
    pieces = basis.columns.pieces
    return (
        COMPILED
        and len(terms) == len(pieces) == 1
        and terms[0].relationship is None
        and type(terms[0].Z) is np.ndarray
        and terms[0].size <= MAX_COLUMNS
        and isinstance(pieces[0], np.ndarray)
        and pieces[0].shape[1] <= MOST_FIXED
    )


def plain_products(
    term: RandomTerm, fixed: OrthonormalBasis
) -> tuple[tuple[ColumnBasis, ...], Pattern, CrossProducts]:
    """Return the basis of the term's columns, the pattern and the cross-products.

    Parameters
    ----------
    term : RandomTerm
        The one term.
    fixed : OrthonormalBasis
        Fixed effects, their columns one array.
    """
    basis = _column_basis(term.Z)
    # Columns contiguous: each is a column of the block.
    Q = term.Z if term.size == 1 and basis.C[0, 0] == 1.0 else basis.inverse.T.dot(term.Z.T).T
    S, q = term.size, term.n_levels
    block = Block(term.group, (0,), (S,), term.codes, q, tuple(own_column(Q[:, i]) for i in range(S)))
    pattern = _one_block(block)
    X = fixed.columns.pieces[0]
    assert isinstance(X, np.ndarray)
    faces, cross = level_products(term.codes, q, Q, X)
    XZ = np.asarray(fixed.combination.T.dot(cross.reshape(len(cross), S * q)).reshape(cross.shape))
    gram = fixed.columns.gram
    XX = np.asarray(fixed.combination.T.dot(gram).dot(fixed.combination))
    A = CrossProducts((faces,), {}, (FixedRest(XZ),), np.empty((0, 0)), (XZ,), XX)
    return (basis,), pattern, A


def _column_basis(Z: FloatArray) -> ColumnBasis:
    """Return the basis of a few columns, compiled where squares keep their digits."""
    found = None if Z.shape[1] == 1 else reversed_cholesky(Z.T.dot(Z) / len(Z), CHOLESKY_PIVOT)
    return column_basis(Z) if found is None else ColumnBasis(*found)


def _one_block(block: Block) -> Pattern:
    """Return the pattern of one block, which is eliminated and couples with no other."""
    pointers = np.zeros(block.n_levels + 1, dtype=np.intp)
    coupling = Coupling(pointers, np.zeros(0, np.int32), (), ())
    return Pattern((block,), (0,), (), (), 0, {}, (coupling,), {}, {})
