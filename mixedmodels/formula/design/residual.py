"""What ``residual=`` and ``dispersion=`` ask for, in arrays: what the engine reads."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.by_group import ByGroup
from mixedmodels.covariance.residual.structure import (
    Positions,
    ResidualStructure,
    VarianceColumns,
    VarianceFunction,
)
from mixedmodels.formula.design.coding import MatrixRecipe
from mixedmodels.formula.language.dispersion import VarianceCall
from mixedmodels.formula.language.residual import ResidualCall


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VarianceRecipe:
    """How the columns of a variance function are made again of new data.

    Attributes
    ----------
    call : VarianceCall
        What was asked for.
    levels : tuple of str
        Levels of the strata, in order.
    matrix : MatrixRecipe or None
        Of a log-linear model.
    kept : int ndarray
        Which columns of that matrix are kept.
    """

    call: VarianceCall
    levels: tuple[str, ...] = ("",)
    matrix: MatrixRecipe | None = None
    kept: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VarianceTerm:
    """One factor of the residual standard deviations.

    Attributes
    ----------
    text : str
        As it was written: ``"power(age)"``; of standard deviations by visit ``"ident(visit)"``.
    formula : str
        As nlme prints it: ``"~age"``, ``"~1 | sex"``.
    function : VarianceFunction
        How parameters become standard deviations.
    columns : VarianceColumns
        What they are a function of.
    uses_fitted : bool
        Whether the numbers are the fitted values: `columns` holds zeros in their place, and the engine takes
        ``columns.with_values(fitted)``.
    recipe : VarianceRecipe
        How to make the columns of new data.
    """

    text: str
    formula: str
    function: VarianceFunction
    columns: VarianceColumns
    uses_fitted: bool
    recipe: VarianceRecipe


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResidualDesign:
    """The correlation of residuals within groups, as an engine reads it.

    Rows of one group have distinct positions. The order of rows means nothing: `in_order` sorts them.

    Attributes
    ----------
    text : str
        As it was written: ``"ar1(visit | subject)"``.
    formula : str
        As nlme prints it: ``"~visit | subject"``.
    structure : ResidualStructure
        The correlation structure of every group.
    codes : int ndarray, shape (n,)
        Group of each row, in ``range(len(groups))``.
    groups : tuple of str
        Names of the groups.
    positions : ndarray, shape (n,) of int or (n, d) of float
        Level, step or coordinates of each row.
    levels : tuple of str
        Names of the levels of time, in order; empty where positions are steps or coordinates.
    arms : int ndarray, shape (n_groups,)
        Arm of each group: which parameters it has.
    arm_names : tuple of str
        Names of the arms; one empty name where all groups share their parameters.
    variance : VarianceTerm or None
        Standard deviations that belong to the structure: by levels of time where it is heterogeneous (and by
        arm), by arm where it is not.
    group_name, time_name : str
        The variables: ``"subject"``, ``"visit"``; empty where there is none.
    call : ResidualCall
        What was asked for.
    origins : ndarray, shape (n_groups,)
        Where numbers that are counted in steps begin in each group: positions are steps since then.
    step : float
        How long a step is.
    """

    text: str
    formula: str
    structure: ResidualStructure
    codes: IntArray
    groups: tuple[str, ...]
    positions: Positions
    levels: tuple[str, ...]
    arms: IntArray
    arm_names: tuple[str, ...]
    variance: VarianceTerm | None
    group_name: str
    time_name: str
    call: ResidualCall
    origins: FloatArray
    step: float = 1.0

    @property
    def parameters(self) -> ByGroup:
        """The parameters of the structure, stacked by arm."""
        return ByGroup(self.structure, self.arm_names)

    def in_order(self) -> IntArray:
        """Return the rows by group, and by position within each group, shape (n,)."""
        keys = np.atleast_2d(self.positions.T)[::-1]
        return np.lexsort([*keys, self.codes])
