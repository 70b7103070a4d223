"""The table of variance components in lme4's three forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from mixedmodels.covariance.term_covariance import TermCovariance
from mixedmodels.errors import ControlError
from mixedmodels.reports.numbers import format_numbers, round_digits
from mixedmodels.reports.page import Page
from mixedmodels.reports.text_tables import text_matrix

_CORRELATED = ("us", "cs", "ar1", "toep")
VarianceForm = Literal["Std.Dev.", "Variance"]


def variance_table(
    terms: Sequence[TermCovariance],
    residual_sd: float | None,
    comp: VarianceForm | Sequence[VarianceForm] = "Std.Dev.",
    digits: int = 5,
) -> Page:
    """Lay out standard deviations, variances or both, with the correlations of each term.

    Parameters
    ----------
    terms : sequence of TermCovariance
        One block of rows each.
    residual_sd : float or None
        Standard deviation of the row ``Residual``; None for models without one.
    comp : {"Std.Dev.", "Variance"} or both
        Columns to show.
    digits : int
        Significant digits; correlations get two fewer, at least two.

    Raises
    ------
    ControlError
        If `comp` names anything else.
    """
    forms = _check_forms(comp)
    shown = [_names_shown(term) for term in terms]
    sds = [term.stddev[: len(names)] for term, names in zip(terms, shown, strict=True)]
    sd = np.concatenate([*sds, [] if residual_sd is None else [residual_sd]])
    labels = zip(terms, shown, strict=True)
    groups = [text for term, names in labels for text in (term.label, *[""] * (len(names) - 1))]
    names = [name for of_term in shown for name in of_term]
    if residual_sd is not None:
        groups, names = [*groups, "Residual"], [*names, ""]
    columns = [groups, names]
    for form in forms:
        columns.append(format_numbers(sd**2 if form == "Variance" else sd, digits))
    headers = ["Groups", "Name", *forms]
    largest = max((_n_correlated(term) for term in terms), default=1)
    if largest > 1:
        columns += _correlation_columns(terms, len(groups), largest, max(2, digits - 2))
        headers += ["Corr", *[""] * (largest - 2)]
    return text_matrix([list(row) for row in zip(*columns, strict=True)], [""] * len(groups), headers)


def _names_shown(term: TermCovariance) -> Sequence[str]:
    """Return the rows of a term: one a coefficient, and one for all places of a process."""
    return (f"{len(term.columns)} places",) if term.process else term.columns


def _n_correlated(term: TermCovariance) -> int:
    """Return how many columns the correlations of a term take, and one more."""
    if term.process:
        return 1 + len(term.process)
    return len(term.columns) if term.structure in _CORRELATED else 1


def _check_forms(comp: VarianceForm | Sequence[VarianceForm]) -> list[VarianceForm]:
    forms: list[VarianceForm] = [comp] if isinstance(comp, str) else list(comp)
    allowed = get_args(VarianceForm)
    if not forms or any(form not in allowed for form in forms):
        raise ControlError(f"comp must be one or both of {', '.join(map(repr, allowed))}, not {comp!r}.")
    return forms


def _correlation_columns(
    terms: Sequence[TermCovariance], n_rows: int, largest: int, digits: int
) -> list[list[str]]:
    """Return the lower triangles of the correlations, one below the other, without the last column."""
    cells = [[""] * n_rows for _ in range(largest - 1)]
    first = 0
    for term in terms:
        size = len(_names_shown(term))
        for j, (name, value) in enumerate(term.process):
            cells[j][first] = f"{name} {value:.{digits + 1}g}" + f" ({term.structure})" * (j == 0)
        if not term.process and term.structure in _CORRELATED and size > 1:
            rounded = round_digits(term.correlation, digits)
            flat = format_numbers(rounded.ravel(), 7, nsmall=digits, na="NaN")
            texts = np.array(flat, dtype=object).reshape(size, size)
            pairs = [(i, j) for i in range(size) for j in range(i)]
            if term.structure in ("cs", "ar1"):
                pairs, texts[1, 0] = [(1, 0)], f"{texts[1, 0].strip()} ({term.structure})"
            for i, j in pairs:
                cells[j][first + i] = str(texts[i, j])
        first += size
    return cells
