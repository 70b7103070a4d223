"""What covariance parameters that cannot be told apart are called, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.optimization.covariance_forms import (
    Direction,
    Rows,
    changes_along,
    is_diagonal,
    orthonormal,
    vanishes,
)

#: Elements of a direction below this, relative to the largest, are none.
NEGLIGIBLE = 1e-5
#: Elements of a term's covariance that are named one by one.
MOST_NAMED = 2
#: The label of the intercept.
INTERCEPT = "(Intercept)"


def sentence(
    rows: Rows, labels: Sequence[str], parameters: Sequence[Direction], vectors: Sequence[FloatArray]
) -> str:
    """Say in words what the directions leave undetermined."""
    what = listed_names(moved_names(rows, parameters, vectors))
    what = what[0].upper() + what[1:]
    if not vanishes(replace(rows, fixed=rows.fixed[:, :0]), parameters, vectors[0]):
        return f"{what} cannot be told apart from {_fixed_names(rows, labels, parameters, vectors)}."
    v = vectors[0][vectors[0] != 0.0]
    if len(v) == 1:
        return f"{what} has no effect on the response: its column is zero."
    is_sum = (
        "covariance" not in what
        and len(vectors) == 1
        and len(v) == 2
        and abs(v.sum()) < NEGLIGIBLE * np.abs(v).max()
    )
    known = "their sum is" if is_sum else "some combinations of them are"
    return f"{what} cannot be told apart: only {known} known."


def listed_names(names: Sequence[str]) -> str:
    """Return names with commas and an "and"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def moved_names(rows: Rows, parameters: Sequence[Direction], vectors: Sequence[FloatArray]) -> list[str]:
    """Return what directions move, in words, the residual variance last."""
    names: list[str] = []
    moved = [p for k, p in enumerate(parameters) if any(v[k] != 0.0 for v in vectors)]
    for t in dict.fromkeys(p.term for p in moved if p.term >= 0):
        term = rows.terms[t]
        if not (term.structure.is_unstructured or is_diagonal(term)):
            own = " and ".join(p.name for p in moved if p.term == t)
            names.append(f"{own} in {term.structure.name}({term.expression})")
            continue
        cells = _moved_cells(rows, t, [changes_along(rows.terms, parameters, v).get(t) for v in vectors])
        if not 0 < len(cells) <= MOST_NAMED:  # none where changes are beyond all numbers
            kinds = "variances" if all(i == j for i, j in cells) else "variances and covariances"
            names.append(f"the {kinds} in ({term.expression})")
            continue
        for i, j in cells:
            a, b = term.columns[i], term.columns[j]
            what = f"variance of {a}" if i == j else f"covariance of {b} and {a}"
            names.append(f"the {what} in ({term.expression})")
    return [*names, "the residual variance"] if moved[-1].term < 0 else names


def _moved_cells(rows: Rows, t: int, changes: Sequence[FloatArray | None]) -> list[tuple[int, int]]:
    """Return the cells of the covariance of the user's coefficients that directions move, lower triangle."""
    term, inverse = rows.terms[t], np.linalg.inv(rows.bases[t])
    width = np.sqrt(np.einsum("ij,ij->j", term.Z, term.Z))
    moved = np.zeros((term.size, term.size), dtype=np.bool_)
    for change in changes:
        if change is not None:
            size = np.abs(inverse @ change @ inverse.T) * np.multiply.outer(width, width)
            moved |= size > NEGLIGIBLE * size.max()
    return [(int(i), int(j)) for i, j in np.argwhere(np.tril(moved))]


def _fixed_names(
    rows: Rows, labels: Sequence[str], parameters: Sequence[Direction], vectors: Sequence[FloatArray]
) -> str:
    """Name the one term of the fixed effects that holds the columns of the random ones, or all of them."""
    for label in dict.fromkeys(labels):
        own = [k for k, other in enumerate(labels) if other in (label, INTERCEPT)]
        alone = replace(rows, fixed=orthonormal(rows.X[:, own]))
        if label != INTERCEPT and all(vanishes(alone, parameters, v) for v in vectors):
            return f"the fixed effects of {label}"
    return f"the fixed effects ({', '.join(dict.fromkeys(labels))})"
