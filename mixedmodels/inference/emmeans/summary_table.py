"""The table of linear functions: estimates with standard errors, limits and tests, on either scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError
from mixedmodels.inference.emmeans.adjustment import (
    STEPWISE,
    Statistics,
    adjusted_p_values,
    adjustment_named,
    applied,
    critical_values,
    cross_adjustment_named,
    p_values,
)
from mixedmodels.inference.emmeans.linear_functions import (
    Estimates,
    LinearFunctions,
    Scale,
    covariance,
    estimates,
    families,
)
from mixedmodels.inference.emmeans.options import positive_number
from mixedmodels.inference.emmeans.response_scale import ResponseScale, back_transformed
from mixedmodels.inference.wald import check_level
from mixedmodels.reports.emmeans_text import EmmeansText, emmeans_text
from mixedmodels.reports.printed_frame import PrintedFrame

Side = Literal["two-sided", "<", ">"]
_TAILS = {"two-sided": 0, "<": -1, ">": 1}
_EQUIVALENCES = {-1: "nonsuperiority", 0: "equivalence", 1: "noninferiority"}


class EmmeansTable(PrintedFrame):
    """A DataFrame of estimates that prints as R's emmeans prints it.

    Attributes
    ----------
    estimate : str
        Name of the column of estimates.
    by : tuple of str
        Columns whose levels head the parts of the printed table.
    notes : tuple of str
        What is said below.
    """

    _metadata = ["estimate", "by", "notes"]  # noqa: RUF012 (pandas reads this class attribute)
    estimate: str
    by: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return emmeans_text(EmmeansText(pd.DataFrame(self), self.estimate, self.by, self.notes))


@dataclass(frozen=True, slots=True)
class Request:
    """What a table shows; None for what the functions have by default.

    Attributes
    ----------
    intervals, tests : bool or None
        Whether it shows limits and tests.
    level : float or None
        Confidence level.
    adjust : str or None
        Adjustment for how many estimates a family has.
    by : sequence of str or None
        Variables that divide the rows into families.
    type : {"link", "response"} or None
        Scale.
    null : float
        Value under the hypothesis, on the scale of the linear predictor.
    side : {"two-sided", "<", ">"}
        Alternative.
    delta : float
        Threshold of a test of equivalence, noninferiority or nonsuperiority.
    bias_adjust : bool or None
        Whether back-transformed means are adjusted for bias.
    sigma : float or None
        Standard deviation for that.
    cross_adjust : str or None
        Adjustment of p-values for how many families there are.
    """

    intervals: bool | None = None
    tests: bool | None = None
    level: float | None = None
    adjust: str | None = None
    by: Sequence[str] | None = None
    type: Scale | None = None
    null: float = 0.0
    side: Side = "two-sided"
    delta: float = 0.0
    bias_adjust: bool | None = None
    sigma: float | None = None
    cross_adjust: str | None = None


def with_request(functions: LinearFunctions, request: Request) -> LinearFunctions:
    """Return the functions with what a request changes of them.

    Raises
    ------
    ControlError
        If an option is not among those allowed.
    """
    family, given = functions.family, request
    if given.level is not None:
        check_level(given.level)
    if given.type is not None:
        one_of("type", given.type, get_args(Scale))
    one_of("side", given.side, get_args(Side))
    by = functions.by if given.by is None else tuple(given.by)
    kind = "contrasts" if family.kind == "pairs" and set(by) != set(functions.by) else family.kind
    family = replace(
        family,
        kind=kind,
        adjust=family.adjust if given.adjust is None else adjustment_named(given.adjust),
        intervals=family.intervals if given.intervals is None else given.intervals,
        tests=family.tests if given.tests is None else given.tests,
        cross_adjust=family.cross_adjust
        if given.cross_adjust is None
        else cross_adjustment_named(given.cross_adjust),
    )
    return replace(
        functions,
        by=by,
        family=family,
        level=functions.level if given.level is None else given.level,
        type=functions.type if given.type is None else given.type,
        bias_adjust=functions.bias_adjust if given.bias_adjust is None else given.bias_adjust,
        sigma=functions.sigma if given.sigma is None else given.sigma,
    )


def summary_table(functions: LinearFunctions, request: Request) -> EmmeansTable:
    """Return the table of the functions that a request asks for."""
    functions = with_request(functions, request)
    _check_by(functions)
    family = functions.family
    scale = functions.scale if functions.type == "response" else None
    inverted = scale if scale is not None and scale.is_known else None
    sigma = _sigma_for(functions) if inverted is not None else None
    found = estimates(functions)
    groups = families(functions, functions.by)
    is_normal = bool(np.all(np.isnan(found.df) | np.isinf(found.df)))
    columns: dict[str, FloatArray] = {}
    notes = _first_notes(functions)
    if family.intervals:
        limits, note = _limits(functions, found, groups, request)
        names = ("asymp.LCL", "asymp.UCL") if is_normal else ("lower.CL", "upper.CL")
        columns |= dict(zip(names, _sorted_limits(limits, inverted, sigma), strict=True))
        notes += [f"Confidence level used: {functions.level:g}", *note]
        if inverted is not None:
            notes.append(f"Intervals are back-transformed from the {inverted.name} scale")
    if family.tests:
        tested, note = _tests(functions, found, groups, request, is_normal, inverted, sigma)
        columns |= tested
        notes += note
    values, se = found.estimate, found.se
    if inverted is not None:
        values, slope = back_transformed(inverted, found.estimate, sigma)
        se = np.abs(slope) * found.se
    if sigma is not None:
        notes.append(f"Bias adjustment applied based on sigma = {sigma:.5g}")
    columns = {_estimate_name(functions, inverted): values, "SE": se, "df": found.df} | columns
    return _table(functions, columns, _estimate_name(functions, inverted), notes, inverted)


def _estimate_name(functions: LinearFunctions, scale: ResponseScale | None) -> str:
    return functions.name if scale is None else scale.label


def _table(
    functions: LinearFunctions,
    columns: dict[str, FloatArray],
    estimate: str,
    notes: Sequence[str],
    scale: ResponseScale | None,
) -> EmmeansTable:
    labels = functions.labels
    if functions.is_ratio and scale is not None:
        first = labels.columns[0]
        labels = labels.assign(**{first: labels[first].str.replace(" - ", " / ", regex=False)})
    table = EmmeansTable(pd.concat([labels, pd.DataFrame(columns, index=labels.index)], axis=1))
    table.estimate, table.by, table.notes = estimate, functions.by, tuple(dict.fromkeys(notes))
    return table


def _check_by(functions: LinearFunctions) -> None:
    unknown = [name for name in functions.by if name not in functions.labels.columns]
    if unknown:
        raise ControlError(
            f"by names {unknown[0]!r}, which the table does not have; its variables are "
            f"{', '.join(map(str, functions.labels.columns))}."
        )


def _sigma_for(functions: LinearFunctions) -> float | None:
    """Return the standard deviation of the adjustment for bias; None where none is made."""
    if not functions.bias_adjust:
        return None
    if functions.sigma is None:
        raise ControlError(
            "bias_adjust=True needs sigma=, the standard deviation of all that varies around the linear "
            "predictor: for a mixed model the root of the sum of its variances (VarCorr), the residual one "
            "included where there is one."
        )
    return positive_number("sigma", functions.sigma)


def _first_notes(functions: LinearFunctions) -> list[str]:
    scale, notes = functions.scale, []
    if functions.averaged:
        notes.append(f"Results are averaged over the levels of: {', '.join(functions.averaged)}")
    notes += functions.notes
    if functions.basis.method:
        notes.append(f"Degrees-of-freedom method: {functions.basis.method}")
    notes += functions.basis.fixed.notes
    if scale is not None and functions.type == "link":
        notes.append(f"Results are given on the {scale.name} (not the response) scale.")
    if scale is not None and functions.type == "response" and not scale.is_known:
        notes.append(f'Unknown transformation "{scale.name}": no transformation done')
    return notes


def _statistics(
    functions: LinearFunctions, found: Estimates, t: FloatArray, rows: IntArray, adjust: str, tail: int
) -> Statistics:
    """Return the statistics of one family with what its adjustment needs."""
    correlation = None
    if adjust == "mvt":
        V = covariance(functions)[np.ix_(rows, rows)]
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = V / np.outer(found.se[rows], found.se[rows])
    rank = _rank(functions, rows) if adjust == "scheffe" else 0
    return Statistics(t[rows], found.df[rows], tail, correlation, rank)


def _rank(functions: LinearFunctions, rows: IntArray) -> int:
    """Return how many of the functions of one family are independent."""
    L = functions.L[rows][:, functions.basis.kept]
    return int(np.linalg.matrix_rank(L[~np.isnan(L).any(axis=1)]))


def _limits(
    functions: LinearFunctions, found: Estimates, groups: Sequence[IntArray], request: Request
) -> tuple[tuple[FloatArray, FloatArray], list[str]]:
    """Return the confidence limits and what is said of their adjustment."""
    tail = _TAILS[request.side]
    adjust = functions.family.adjust
    critical = np.full(len(found.se), np.nan)
    used = []
    for rows in groups:
        own = applied(adjust, len(rows), functions.family.kind == "pairs", tail != 0)
        used.append("bonferroni" if own in STEPWISE else own)
        statistics = _statistics(functions, found, np.zeros(len(found.se)), rows, own, tail)
        critical[rows] = critical_values(statistics, own, functions.level)
    reach = critical * found.se
    infinite = np.where(np.isnan(reach), np.nan, np.inf)
    lower = found.estimate - (reach if tail >= 0 else infinite)
    upper = found.estimate + (reach if tail <= 0 else infinite)
    note = _adjustment_note("Conf-level adjustment", used, groups, functions, "estimates")
    return (lower, upper), note


def _sorted_limits(
    limits: tuple[FloatArray, FloatArray], scale: ResponseScale | None, sigma: float | None
) -> tuple[FloatArray, FloatArray]:
    """Return limits on the scale of the response, the lower one first where the link is decreasing."""
    if scale is None:
        return limits
    lower, upper = (back_transformed(scale, limit, sigma)[0] for limit in limits)
    with np.errstate(invalid="ignore"):
        if np.any(upper < lower):
            return upper, lower
    return lower, upper


def _tests(
    functions: LinearFunctions,
    found: Estimates,
    groups: Sequence[IntArray],
    request: Request,
    is_normal: bool,
    scale: ResponseScale | None,
    sigma: float | None,
) -> tuple[dict[str, FloatArray], list[str]]:
    """Return the columns of the tests and what is said of them."""
    side, delta, null = _TAILS[request.side], abs(request.delta), request.null
    tail = side if side or not delta else -1
    difference = found.estimate - null
    with np.errstate(divide="ignore", invalid="ignore"):  # a zero variance, as of a contrast of one level
        t = (
            difference + side * delta if side else np.abs(difference) - delta if delta else difference
        ) / found.se
    p, used = np.full(len(t), np.nan), []
    for rows in groups:
        own = applied(functions.family.adjust, len(rows), functions.family.kind == "pairs", tail != 0)
        used.append(own)
        p[rows] = p_values(_statistics(functions, found, t, rows, own, tail), own)
    p, crossed = _across_families(p, groups, functions.family.cross_adjust)
    columns: dict[str, FloatArray] = {}
    shown = null if scale is None else float(back_transformed(scale, np.array([null]), sigma)[0][0])
    if shown != 0.0:
        columns["null"] = np.full(len(t), shown)
    columns["z.ratio" if is_normal else "t.ratio"] = t
    columns["p.value"] = p
    notes = _adjustment_note("P value adjustment", used, groups, functions, "tests") + crossed
    if delta:
        notes.append(f"Statistics are tests of {_EQUIVALENCES[side]} with a threshold of {delta:.5g}")
    if tail:
        notes.append(f"P values are {'left' if tail < 0 else 'right'}-tailed")
    if scale is not None:
        notes.append(f"Tests are performed on the {scale.name} scale")
    return columns, notes


def _across_families(p: FloatArray, groups: Sequence[IntArray], method: str) -> tuple[FloatArray, list[str]]:
    """Return p-values adjusted across families, place by place, and what is said of it.

    Raises
    ------
    ControlError
        If families are of several sizes, so that their places do not correspond.
    """
    if method == "none" or len(groups) < 2:
        return p, []
    if len({len(rows) for rows in groups}) > 1:
        raise ControlError(
            "cross_adjust= compares each test with the same one of all other families, and these families "
            "have different numbers of tests; by=[] makes one family of all, for adjust=."
        )
    places, found = np.array(groups), p.copy()
    for place in places.T:
        found[place] = adjusted_p_values(p[place], method)
    return found, [f"Cross-group P-value adjustment: {method.upper() if method in ('bh', 'by') else method}"]


def _adjustment_note(
    heading: str, used: Sequence[str], groups: Sequence[IntArray], functions: LinearFunctions, what: str
) -> list[str]:
    """Return the line that names an adjustment; none where no family was adjusted."""
    adjusted = [(name, rows) for name, rows in zip(used, groups, strict=True) if name != "none"]
    if not adjusted:
        return []
    name = adjusted[0][0]
    tests = {len(rows) for rows in groups}
    size = str(tests.pop()) if len(tests) == 1 else "(varies)"
    extra = f"for {size} {what}"
    if name == "tukey":
        means = size if size == "(varies)" else f"{0.5 * (1.0 + np.sqrt(1.0 + 8.0 * int(size))):.0f}"
        extra = f"for comparing a family of {means} estimates"
    if name == "scheffe":
        ranks = {_rank(functions, rows) for _, rows in adjusted}
        extra = f"with rank {ranks.pop() if len(ranks) == 1 else '(varies)'}"
    shown = name.upper() if name in ("bh", "by") else name
    return [f"{heading}: {shown} method {extra}"]
