"""Kenward and Roger's F test of nested fixed effects: ``kr_modcomp(large, small)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.absent_rows import AbsentColumns
from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, DataError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.anova import check_models
from mixedmodels.inference.comparability import described, different_responses, different_sizes
from mixedmodels.inference.contrasts import hypothesis_test, upper_tail
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.reports.page import Page
from mixedmodels.reports.printed_frame import PrintedFrame
from mixedmodels.reports.text_tables import coefficient_table

#: What is left of a column of the smaller model outside the larger one, relative to its length, if in it.
INSIDE = 1e-7
#: Least singular value, relative to the largest, of a direction that the smaller model has.
SHARED = 1e-9
#: Factor of F below which pbkrtest shows the test that is not scaled.
LEAST_SCALING = 0.2


class KRComparison(PrintedFrame):
    """The test as a DataFrame with rows Ftest and FtestU, F scaled and not; it prints as pbkrtest prints it.

    ``L`` is the hypothesis that was tested, shape (q, p): ``L beta = 0`` is the smaller model.
    """

    _metadata = ["heading", "L"]  # noqa: RUF012 (pandas reads this class attribute)
    heading: tuple[str, ...]
    L: FloatArray

    def __repr__(self) -> str:
        values = self.to_numpy(dtype=np.float64)
        shown = 0 if values[0, 3] > LEAST_SCALING else 1
        table = coefficient_table(
            values[[shown]], [str(self.index[shown])], list(self.columns), statistics=(0, 1, 2), na=""
        )
        return Page([*self.heading, table])


@advises
def kr_modcomp(
    large: Any,
    small: Any,
) -> KRComparison:
    """Test the fixed effects that one model has and a nested one has not, by Kenward and Roger's F test.

    Parameters
    ----------
    large, small : LinearMixedModel, GlsModel, MmrmModel or StructuredLinearMixedModel
        Two models with the same random effects and residual structure, in any order; the covariance is that
        of the larger one, which must be fitted by REML. `small` may be a matrix L of shape (q, p) instead,
        for ``L beta = 0``.

    Returns
    -------
    KRComparison
        A DataFrame with rows Ftest (F scaled, the test to report) and FtestU, and columns stat, ndf, ddf,
        F.scaling and p.value.

    Raises
    ------
    ControlError
        If the models are not nested, or L has another number of columns.
    DataError
        If they were not fitted to the same response at the same rows.
    NotAvailableError
        If the larger model was fitted by maximum likelihood or is no linear mixed model.

    References
    ----------
    Kenward & Roger (1997), Biometrics 53, 983-997; Halekoh & Hojsgaard (2014), J. Stat. Softw. 59(9).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.load_dataset("sleepstudy")
    >>> large = mm.lmer("Reaction ~ Days + (Days | Subject)", data)
    >>> small = mm.lmer("Reaction ~ 1 + (Days | Subject)", data)
    >>> round(float(mm.kr_modcomp(large, small).loc["Ftest", "stat"]), 2)
    45.85
    """
    check_models((large,), "kr_modcomp")
    if isinstance(small, Fit):
        _check_comparable(large, small)
        if len(large.beta) < len(small.beta):
            large, small = small, large
        fixed, said = fixed_effects(large, "kenward-roger"), ("small : " + described(small),)
        L = restriction(large, small)
    else:
        fixed, said = fixed_effects(large, "kenward-roger"), ("small : L beta = 0",)
        L = _matrix(small, len(large.beta))
    test = hypothesis_test(fixed, L)
    plain, q = test.statistic / test.scale, test.numerator_df
    table = KRComparison(
        {
            "stat": [test.statistic, plain],
            "ndf": [q, q],
            "ddf": [test.df, test.df],
            "F.scaling": [test.scale, np.nan],
            "p.value": [test.p_value, upper_tail(plain, q, test.df)],
        },
        index=["Ftest", "FtestU"],
    )
    table.heading, table.L = ("large : " + described(large), *said), L
    return table


def _columns_by_name(large: Fit, small: Fit) -> FloatArray:
    """Return the products of the fixed effects of a smaller model, told by their names among the larger's.

    Raises
    ------
    NotAvailableError
        If the larger one does not have them all.
    """
    own, X = list(large.design.x_names), large.design.X
    unknown = [name for name in small.design.x_names if name not in own]
    if unknown:
        raise NotAvailableError(
            f"{', '.join(unknown)} of {small.formula()} has another name than any fixed effect of "
            f"{large.formula()}, and without rows columns are told by their names: give the hypothesis as a "
            "matrix."
        )
    assert isinstance(X, AbsentColumns)
    return X.triangle[:, [own.index(name) for name in small.design.x_names]]


def restriction(large: Fit, small: Fit) -> FloatArray:
    """Return L with ``L beta = 0`` exactly where ``X beta`` lies in the columns of a smaller model.

    Parameters
    ----------
    large : Fit
        The larger model, p coefficients.
    small : Fit
        The smaller one.

    Returns
    -------
    ndarray, shape (q, p)
        Orthonormal combinations of orthonormal columns.

    Raises
    ------
    ControlError
        If the models are not nested, or the same.
    """
    if isinstance(large.design.X, AbsentColumns) and isinstance(small.design.X, AbsentColumns):
        whole, part = large.design.X.triangle, _columns_by_name(large, small)
    else:
        root = np.sqrt(large.prior_weights)[:, None]
        whole, part = large.design.X * root, small.design.X * root
    sizes = np.linalg.norm(whole, axis=0)
    Q, R = np.linalg.qr(whole / sizes)
    X = part / np.linalg.norm(part, axis=0)
    inside = Q.T @ X
    outside = np.linalg.norm(X - Q @ inside, axis=0) > INSIDE
    if outside.any():
        names = ", ".join(name for name, out in zip(small.design.x_names, outside, strict=True) if out)
        raise ControlError(
            f"the models are not nested: {names} of {small.formula()} is no combination of the fixed effects "
            f"of {large.formula()}."
        )
    left, size, _ = np.linalg.svd(inside, full_matrices=True)
    rank = int(np.count_nonzero(size > SHARED * size.max(initial=0.0)))
    if rank == len(large.beta):
        raise ControlError("the models have the same fixed effects: there is nothing to test.")
    return np.asarray(left[:, rank:].T @ R * sizes)


def _check_comparable(large: Fit, small: Fit) -> None:
    """Raise unless two models have the same rows, response, random effects and residual structure."""
    difference = different_sizes((large, small)) or different_responses((large, small))
    if difference:
        raise DataError(difference)
    terms = [sorted((t.expression, t.structure.name) for t in m.random) for m in (large, small)]
    if terms[0] != terms[1]:
        raise ControlError(
            f"the random effects differ: {large.formula()} and {small.formula()}. This is a test of fixed "
            "effects; anova() tests random ones."
        )
    if _structure(large) != _structure(small):
        raise ControlError(
            f"the covariances of the residuals differ: {described(large)} and {described(small)}. This is a "
            "test of fixed effects; anova() compares structures."
        )


def _structure(fit: Fit) -> tuple[object, ...]:
    """Return what was asked for of the residuals."""
    return tuple(fit.call.arguments.get(name) for name in ("residual", "dispersion"))


def _matrix(small: Any, p: int) -> FloatArray:
    """Return a matrix of hypotheses that was given."""
    try:
        L = np.atleast_2d(np.asarray(small, dtype=np.float64))
    except (TypeError, ValueError):
        raise ControlError(
            f"small must be a fitted model or a matrix of numbers, not {shown(small)}."
        ) from None
    if L.ndim != 2 or L.shape[1] != p or not np.isfinite(L).all() or not L.any():
        raise ControlError(
            f"a matrix of hypotheses has one column for each of the {p} coefficients and rows that are not "
            f"all zero; the one given has shape {np.shape(small)}."
        )
    return L
