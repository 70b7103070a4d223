"""Contrasts of marginal means: within each family, of all factors together or of each with each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import ControlError, listed
from mixedmodels.formula.language.number_format import number_name
from mixedmodels.inference.emmeans.contrast_methods import ContrastCoefficients, Levels, contrast_coefficients
from mixedmodels.inference.emmeans.grid import combine, combine_offsets
from mixedmodels.inference.emmeans.linear_functions import Family, LinearFunctions, families
from mixedmodels.inference.emmeans.response_scale import scale_of_contrasts

# Levels whose names hold one of these go in parentheses in the name of a contrast.
_SIGN = re.compile(r"[-+/*]")


def contrast(
    functions: LinearFunctions,
    method: Any,
    by: Sequence[str],
    name: str = "contrast",
    options: Mapping[str, Any] | None = None,
    enhance: bool = True,
) -> LinearFunctions:
    """Return contrasts of the functions within each combination of levels of `by`.

    Parameters
    ----------
    functions : LinearFunctions
        The means.
    method : str, dict, callable or array_like
        As for :func:`contrast_coefficients`.
    by : sequence of str
        Variables that divide the means into families.
    name : str
        Name of the column of contrasts.
    options : mapping, optional
        Options of a named method.
    enhance : bool
        Whether levels that are numbers are shown with the name of their variable, ``nitro0.2``.

    Raises
    ------
    ControlError
        If nothing is left to contrast.
    """
    by = _with_nests(by, functions)
    over = [column for column in functions.labels.columns if column not in by]
    if not over:
        raise ControlError("every variable is in by, so there is nothing to contrast: leave one out.")
    texts = level_texts(functions.labels, over, enhance)
    parts = []
    for rows in families(functions, by):
        mine = [texts[i] for i in rows]
        parts.append((rows, contrast_coefficients(method, _levels(mine), options or {})))
    K = _block_matrix(parts, len(functions.labels))
    column = name if name not in functions.labels.columns else f"{name}1"
    labels = _contrast_labels(functions, parts, by, column)
    found = replace(
        functions,
        labels=labels,
        by=tuple(by),
        L=combine(K, functions.L),
        offset=combine_offsets(K, functions.offset),
        name="estimate",
        family=_family([coefficients for _, coefficients in parts]),
        nesting={column: tuple(by)} if _is_ragged(parts) else {},
    )
    return _on_scale_of_contrasts(found, all(coefficients.are_contrasts for _, coefficients in parts))


def interaction_contrast(
    functions: LinearFunctions, methods: Sequence[Any], by: Sequence[str]
) -> LinearFunctions:
    """Return products of contrasts, one method for each variable that is not in `by`."""
    factors = [column for column in functions.labels.columns if column not in by]
    if len(methods) == 1:
        methods = [methods[0]] * len(factors)
    if len(methods) != len(factors):
        raise ControlError(
            f"interaction has {len(methods)} methods for {len(factors)} factors ({listed(factors)}); give "
            "one for each, or one for all."
        )
    found, columns = functions, list(functions.labels.columns)
    for factor, method in reversed(list(zip(factors, methods, strict=True))):
        name = f"{factor}_{method if isinstance(method, str) else 'custom'}"
        rest = [column for column in columns if column != factor]
        found = contrast(found, method, rest, name, enhance=False)
        columns = [name if column == factor else column for column in columns]
    in_order = [column for column in columns if column not in by]
    order = _order_of_rows(found.labels, [*in_order, *by])
    return replace(
        found,
        labels=found.labels.iloc[order][[*in_order, *by]].reset_index(drop=True),
        L=found.L[order],
        offset=found.offset[order],
        by=tuple(by),
        family=Family("contrasts", "none", intervals=False, tests=True),
    )


def _order_of_rows(labels: pd.DataFrame, columns: Sequence[str]) -> IntArray:
    """Return the rows with the first column varying fastest, levels in the order of their first rows."""
    keys = [pd.factorize(labels[column])[0] for column in columns]
    return np.asarray(np.lexsort(keys), dtype=np.intp)


def level_texts(labels: pd.DataFrame, columns: Sequence[str], enhance: bool = True) -> list[str]:
    """Return the levels of each row as the names of contrasts show them."""
    shown = []
    for column in columns:
        texts = [text_of(value) for value in labels[column]]
        prefix = str(column) if enhance and all(map(_is_number, texts)) else ""
        shown.append([prefix + text for text in texts])
    return [" ".join(row) for row in zip(*shown, strict=True)]


def text_of(value: Any) -> str:
    """Return a level as R's ``as.character`` has it."""
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    return number_name(float(value)) if isinstance(value, (int, float, np.number)) else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _levels(texts: Sequence[str]) -> Levels:
    names = tuple(f"({text})" if _SIGN.search(text) else text for text in texts)
    return Levels(names, tuple(texts))


def _with_nests(by: Sequence[str], functions: LinearFunctions) -> list[str]:
    """Return `by` with what its nested variables are nested in."""
    unknown = [name for name in by if name not in functions.labels.columns]
    if unknown:
        raise ControlError(
            f"by names {listed(map(repr, unknown))}, which the table does not have; its variables are "
            f"{listed(functions.labels.columns)}."
        )
    nests = [outer for name in by for outer in functions.nesting.get(name, ()) if outer in functions.labels]
    return list(dict.fromkeys([*by, *nests]))


def _block_matrix(parts: Sequence[tuple[IntArray, ContrastCoefficients]], m: int) -> FloatArray:
    """Return the coefficients of all families, one block a family, shape (contrasts, m)."""
    K = np.zeros((sum(len(coefficients.C) for _, coefficients in parts), m))
    first = 0
    for rows, coefficients in parts:
        K[first : first + len(coefficients.C), rows] = coefficients.C
        first += len(coefficients.C)
    return K


def _contrast_labels(
    functions: LinearFunctions,
    parts: Sequence[tuple[IntArray, ContrastCoefficients]],
    by: Sequence[str],
    column: str,
) -> pd.DataFrame:
    names = [name for _, coefficients in parts for name in coefficients.names]
    family = np.repeat([rows[0] for rows, _ in parts], [len(c.names) for _, c in parts]).astype(np.intp)
    labels = functions.labels[list(by)].iloc[family].reset_index(drop=True)
    labels.insert(0, column, pd.Series(names, dtype=object))
    return labels


def _is_ragged(parts: Sequence[tuple[IntArray, ContrastCoefficients]]) -> bool:
    return len({len(rows) for rows, _ in parts}) > 1


def _family(coefficients: Sequence[ContrastCoefficients]) -> Family:
    if not coefficients:
        return Family("contrasts", "none", intervals=False, tests=True)
    kind = "pairs" if all(c.all_pairs for c in coefficients) else "contrasts"
    if kind == "contrasts" and not all(c.are_contrasts for c in coefficients):
        kind = "means"
    return Family(kind, coefficients[0].adjust, intervals=False, tests=True)  # type: ignore[arg-type]


def _on_scale_of_contrasts(functions: LinearFunctions, are_contrasts: bool) -> LinearFunctions:
    """Return contrasts with their own scale: ratios from logarithms, none from other functions."""
    sigma = None if are_contrasts else functions.sigma
    scale = functions.scale
    if scale is None:
        return replace(functions, sigma=sigma, notes=())
    own = scale_of_contrasts(scale) if are_contrasts and scale.is_known else None
    if own is not None:
        return replace(functions, scale=own, sigma=sigma, is_ratio=True, notes=())
    note = f"Note: contrasts are still on the {scale.name} scale"
    return replace(functions, scale=None, sigma=sigma, notes=(note,))
