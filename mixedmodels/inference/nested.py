"""Whether one fitted model is a special case of another."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from mixedmodels.absent_rows import AbsentColumns
from mixedmodels.arrays import FloatArray
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.sparse_root import same_relationship

# Share of a unit column that may be left over where it lies in the columns of another matrix; R's 1e-7.
WITHIN = 1e-7


def is_nested(small: Fit, large: Fit) -> bool:
    """Tell whether every model that `small` stands for is one that `large` stands for.

    The columns of its fixed effects are combinations of those of the larger model, and so are those of its
    random effects, term by term, with a covariance that the larger structure includes.
    """
    if small.npar > large.npar or repr(small.family()) != repr(large.family()):
        return False
    if isinstance(small.design.X, AbsentColumns) and isinstance(large.design.X, AbsentColumns):
        return _nested_by_name(small, large)
    return (
        _same_offset(small, large)
        and lies_in(small.design.X, large.design.X)
        and _random_nested(small.random, large.random)
    )


def _nested_by_name(small: Fit, large: Fit) -> bool:
    """Tell whether a model without rows is a special case of another, its columns told by their names."""
    hosts = list(large.random)
    for term in small.random:
        host = next((h for h in hosts if _hosts_by_name(h, term)), None)
        if host is None:
            return False
        hosts.remove(host)
    return set(small.design.x_names) <= set(large.design.x_names)


def _hosts_by_name(host: RandomTerm, term: RandomTerm) -> bool:
    same = host.structure.name == term.structure.name and host.columns == term.columns
    fits = host.structure.name in ("us", "diag") and term.structure.name in (host.structure.name, "diag")
    included = set(term.columns) <= set(host.columns) and (fits or (term.size == 1 and host.size == 1))
    return host.group == term.group and host.relationship is term.relationship and (same or included)


def lies_in(columns: FloatArray, others: FloatArray) -> bool:
    """Tell whether columns are combinations of others, up to rounding."""
    if not columns.shape[1]:
        return True
    if columns.shape[1] > others.shape[1]:
        return False
    Q = np.linalg.qr(_unit(others))[0]
    unit = _unit(columns)
    rest = unit - Q @ (Q.T @ unit)
    return bool(np.linalg.norm(rest, axis=0).max() < WITHIN)


def _unit(columns: FloatArray) -> FloatArray:
    lengths = np.sqrt(np.einsum("ij,ij->j", columns, columns))
    return np.asarray(columns / np.where(lengths > 0.0, lengths, 1.0))


def _same_offset(small: Fit, large: Fit) -> bool:
    """Tell whether the fits have the same offset."""
    zero = np.zeros(small.design.n_rows)
    one, other = (zero if m.design.offset is None else m.design.offset for m in (small, large))
    return bool(np.array_equal(one, other))


def _random_nested(small: tuple[RandomTerm, ...], large: tuple[RandomTerm, ...]) -> bool:
    """Tell whether each term of the smaller model is part of a term of the larger one, no two share one.

    Terms of one grouping factor may share a term with all covariances free, in which they are uncorrelated.
    """
    hosts: dict[int, list[RandomTerm]] = defaultdict(list)
    for term in small:
        found = next((k for k, host in enumerate(large) if _hosts(host, [*hosts[k], term])), None)
        if found is None:
            return False
        hosts[found].append(term)
    return True


def _hosts(host: RandomTerm, parts: list[RandomTerm]) -> bool:
    """Tell whether a term includes others, put side by side."""
    if not all(_same_levels(host, part) for part in parts):
        return False
    Z = np.column_stack([part.Z for part in parts])
    same = len(parts) == 1 and parts[0].structure.name == host.structure.name
    if same and parts[0].size == host.size and np.array_equal(Z, host.Z):
        return True
    if host.structure.name == "us":
        return lies_in(Z, np.asarray(host.Z))
    diagonal = host.structure.name == "diag" and all(p.size == 1 or p.structure.name == "diag" for p in parts)
    return diagonal and all(any(np.array_equal(z, h) for h in host.Z.T) for z in Z.T)


def _same_levels(one: RandomTerm, other: RandomTerm) -> bool:
    """Tell whether two terms group the rows alike, with the same relationship between the levels."""
    if one.n_levels != other.n_levels:
        return False
    pairs = np.unique(np.column_stack([one.codes, other.codes]), axis=0)
    alike = len(pairs) == one.n_levels
    if one.relationship is None or other.relationship is None:
        return alike and one.relationship is other.relationship
    return alike and same_relationship(one.relationship, other.relationship)
