"""Check, as lme4 does, that random effects can be told apart from each other and from residuals."""

from __future__ import annotations

import numpy as np

from mixedmodels.errors import DataError
from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.formula.language.bars import SPATIAL


def check_random_terms(design: Design, linear: bool) -> None:
    """Raise when a random-effects term cannot be estimated from as many rows as there are.

    Parameters
    ----------
    design : Design
        The design of the model.
    linear : bool
        Whether the model has a residual variance of its own. Without one (binomial, Poisson) a level
        for every row is allowed.

    Raises
    ------
    DataError
        Naming the grouping factor or the term: one level only; as many levels as rows; as many random
        effects as rows. Terms with a covariance structure or with known relationships between their levels
        are exempt from the last two, because their effects share information.
    """
    n_rows = design.n_rows
    _check_levels(design.random)
    excess = {t.group: t.n_levels for t in design.random if _too_many(t.n_levels, n_rows, linear, t)}
    if excess:
        relation = "<" if linear else "<="
        problems = ", ".join(f"{group} has {count}" for group, count in excess.items())
        raise DataError(
            f"number of levels of each grouping factor must be {relation} number of observations "
            f"(problems: {', '.join(excess)}): {n_rows} rows, {problems} levels; "
            "did you swap the sides of '|'?"
        )
    structured = design.residual is not None or bool(design.dispersion)
    for term in design.random:
        effects = _effects_with_rows(term) if structured else term.n_levels * term.size
        if term.structure.is_unstructured and _too_many(effects, n_rows, linear, term):
            relation = "<=" if linear else "<"
            rest = " and the residual variance (or scale parameter)" if linear else ""
            raise DataError(
                f"number of observations (={n_rows}) {relation} number of random effects (={effects}) "
                f"for term ({term.expression}); the random-effects parameters{rest} are "
                "probably unidentifiable"
            )


def _effects_with_rows(term: RandomTerm) -> int:
    """Return how many effects have a row: one of a treatment that a subject did not have says nothing.

    lme4 counts all; the variances of models with structured residuals, in which such designs are usual, are
    judged where the search ends.
    """
    seen = np.zeros((term.n_levels, term.size), dtype=bool)
    row, column = np.nonzero(term.Z)
    seen[term.codes[row], column] = True
    return int(seen.sum())


def _check_levels(terms: tuple[RandomTerm, ...]) -> None:
    """Raise when a grouping factor has a single level."""
    alone = [term for term in terms if term.n_levels < 2 and not _is_process(term)]
    single = {term.group: term.levels[0] for term in alone}
    if single:
        named = ", ".join(f"{group} (only {level!r})" for group, level in single.items())
        raise DataError(f"grouping factors must have > 1 sampled level: {named}")


def _is_process(term: RandomTerm) -> bool:
    """Tell whether the effects of one level are a series or a field, in which many show a variance."""
    return term.size > 1 and term.structure.name in ("ar1", "toep", *SPATIAL)


def _too_many(count: int, n_rows: int, linear: bool, term: RandomTerm) -> bool:
    """Tell whether `count` effects are too many for `n_rows` rows."""
    if term.relationship is not None:
        return False
    return count >= n_rows if linear else count > n_rows
