"""The arrays of a model, built once from a formula and a data frame.

Nothing here computes: these records are the contract between the formula language, which makes them,
and the engines, which read only arrays from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.recipe import Recipe
from mixedmodels.formula.language.parse import ParsedFormula

if TYPE_CHECKING:
    import pandas as pd

    from mixedmodels.formula.design.residual import ResidualDesign, VarianceTerm
    from mixedmodels.formula.design.sparse_root import Relationship


ResponseKind = Literal["numeric", "logical", "factor", "cbind"]
NaAction = Literal["omit", "exclude", "fail", "pass"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Response:
    """The left side of a formula, before a family has interpreted it.

    Attributes
    ----------
    text : str
        The response as R would print it, ``"log(y)"``.
    kind : {"numeric", "logical", "factor", "cbind"}
        What was found. A two-level factor is coded 0 (first level) and 1.
    values : ndarray, shape (n,)
        Numeric values; for ``cbind`` the number of successes.
    failures : ndarray, shape (n,), or None
        Second column of ``cbind``; None otherwise.
    levels : tuple of str
        Levels of a factor response, first one coded 0; empty otherwise.
    is_ordered : bool
        Whether these levels are ordered.
    """

    text: str
    kind: ResponseKind
    values: FloatArray
    failures: FloatArray | None = None
    levels: tuple[str, ...] = ()
    is_ordered: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RandomTerm:
    """One random-effects term: its model matrix, its levels and its covariance structure.

    Attributes
    ----------
    label : str
        Unique name as lme4 prints it: ``"Subject"``, ``"Subject.1"``, ``"cask:batch"``.
    group : str
        Name of the grouping factor; terms with equal `group` have identical `codes` and `levels`.
    expression : str
        The bar as R prints it: ``"Days | Subject"``.
    columns : tuple of str
        Names of the S coefficients: ``("(Intercept)", "Days")``.
    Z : ndarray, shape (n, S)
        Raw model matrix of the left side of the bar (not expanded by level). A column of ones may be a
        zero-stride view.
    codes : int32 ndarray, shape (n,)
        Level of each row, in ``range(q)``.
    levels : tuple of str
        The q level names that occur in the data, in factor order.
    structure : CovarianceStructure
        Map from this term's theta to its relative covariance factor T, ``Cov(b_l) = sigma^2 T T'``.
    relationship : ndarray, shape (q, q), SparseRoot, or None
        Lower Cholesky factor L_K of a known covariance K between levels, ``Cov(vec b) = sigma^2 K (x) T T'``,
        or a root of it that is never formed; None for independent levels.
    """

    label: str
    group: str
    expression: str
    columns: tuple[str, ...]
    Z: FloatArray
    codes: CodeArray
    levels: tuple[str, ...]
    structure: CovarianceStructure
    relationship: Relationship | None = None

    @property
    def size(self) -> int:
        """Number of coefficients per level, S."""
        return len(self.columns)

    @property
    def n_levels(self) -> int:
        """Number of levels, q."""
        return len(self.levels)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MissingRows:
    """What happened to rows with missing values.

    Attributes
    ----------
    action : {"omit", "exclude", "fail", "pass"}
        The na_action in force.
    n_input : int
        Rows of the data after `subset`, before missing values were handled.
    some : ndarray of int, or None
        Positions, among those `n_input` rows, of the rows used; None where all of them are.
    input_index : pandas.Index or None
        Labels of those `n_input` rows, for results padded under "exclude"; None means 0, 1, 2, ...
    """

    action: NaAction
    n_input: int
    some: IntArray | None
    input_index: pd.Index | None = None

    @property
    def n_dropped(self) -> int:
        """Number of rows dropped because a variable of the model is missing."""
        return 0 if self.some is None else self.n_input - len(self.some)

    @property
    def kept(self) -> IntArray:
        """Positions, among those `n_input` rows, of the rows used."""
        return np.arange(self.n_input) if self.some is None else self.some


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Design:
    """Everything a fit needs from the formula and the data.

    Attributes
    ----------
    formula : ParsedFormula
        The formula; ``str()`` gives it as R prints it.
    response : Response
        Left side.
    fixed : ColumnMatrix
        Fixed-effects model matrix of full column rank, R's coding, in pieces.
    x_names : tuple of str
        R's names of the columns of `X`.
    dropped : tuple of str
        Names of columns left out because they depend linearly on earlier ones.
    random : tuple of RandomTerm
        Random-effects terms in lme4's order: decreasing number of levels (see `in_order_of_levels`).
    weights : ndarray, shape (n,), or None
        Prior weights as given; None means all 1.
    offset : ndarray, shape (n,), or None
        Sum of ``offset()`` terms and the offset argument; None means 0.
    index : pandas.Index
        Labels of the rows used, from the data frame.
    missing : MissingRows
        Which rows were dropped.
    recipe : Recipe
        How to build the same columns from new data.
    residual : ResidualDesign or None
        Correlation of residuals within groups; None means none.
    dispersion : tuple of VarianceTerm
        Factors of the residual standard deviations; none means that they are equal.
    """

    formula: ParsedFormula
    response: Response
    fixed: ColumnMatrix
    x_names: tuple[str, ...]
    dropped: tuple[str, ...]
    random: tuple[RandomTerm, ...]
    weights: FloatArray | None
    offset: FloatArray | None
    index: pd.Index
    missing: MissingRows
    recipe: Recipe
    residual: ResidualDesign | None = None
    dispersion: tuple[VarianceTerm, ...] = ()

    @property
    def n_rows(self) -> int:
        """Number of rows used."""
        return self.fixed.n_rows

    @property
    def X(self) -> FloatArray:
        """The fixed-effects model matrix as one array, shape (n, p)."""
        return self.fixed.dense
