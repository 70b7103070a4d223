"""Random intercepts of several grouping factors, compiled: sums, factorization, solution, inverse.

The twin of each is what :mod:`mixedmodels.factorization.weighted` does with blocks of any size, named in
:mod:`mixedmodels.factorization.weighted.scalar_system`, where the arguments come from.

A factorization is one vector of values: for each eliminated factor its inverse pivots, its links to every
outer factor it is nested in, and its entries against the tail of dense factors. Scales are the deviations of
the factors, the eliminated ones first. Effects, or rows, are the first axis of several right-hand sides.
"""

from __future__ import annotations

from dataclasses import dataclass

from mixedmodels.arrays import CodeArray

__all__ = ["COMPILED", "MOST_FACTORS", "DenseFactor", "EliminatedFactor", "ScalarFactors"]

#: Most eliminated and most dense factors.
MOST_FACTORS = 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EliminatedFactor:
    """One eliminated factor.

    Attributes
    ----------
    size, place : int
        Number of levels, and where their effects begin in the flat vector u.
    starts, rows : int32 ndarray
        Where the entries of each level begin, and the tail row of each.
    row_starts, by_row, levels : int32 ndarray
        The entries in order of their tail rows: where those of each row begin, which they are, and the level
        of each; empty where the entries are kept dense.
    """

    size: int
    place: int
    starts: CodeArray
    rows: CodeArray
    row_starts: CodeArray
    by_row: CodeArray
    levels: CodeArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DenseFactor:
    """One factor of the dense tail.

    Attributes
    ----------
    size, place : int
        Number of levels, and where their effects begin in the flat vector u.
    rows, entries : int32 ndarray, shape (n,)
        Tail row, and entry of the innermost eliminated factor, that each row of the data belongs to.
    """

    size: int
    place: int
    rows: CodeArray
    entries: CodeArray


try:
    from mixedmodels.kernels._scalar_factors import ScalarFactors
except ImportError:
    COMPILED = False
else:
    COMPILED = True
