"""Random-effects terms that a formula holds twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.formula.design.random_effects import unique_labels


def without_repeated_terms(design: Design) -> tuple[Design, tuple[str, ...]]:
    """Return the design with every random-effects term once, and one sentence for each left out.

    ``(1 | a) + (1 | a/b)`` holds ``(1 | a)`` twice: a frequent slip whose meaning is plain, so it is no
    error. Nothing could divide the variance between the two.
    """
    kept: list[int] = []
    messages = []
    for k, term in enumerate(design.random):
        first = next((j for j in kept if _are_equal(design.random[j], term)), None)
        if first is None:
            kept.append(k)
            continue
        other = design.random[first].expression
        how = "" if other == term.expression else f", once as ({other})"
        messages.append(
            f"{design.formula} holds the random-effects term ({term.expression}) twice{how}; it is taken "
            "once, because nothing could divide its variance between the two. (x | a/b) stands for (x | a) + "
            "(x | a:b), and (x || a) for (1 | a) + (0 + x | a)."
        )
    if not messages:
        return design, ()
    terms = [design.random[k] for k in kept]
    labels = unique_labels([term.group for term in terms])
    random = tuple(replace(term, label=label) for term, label in zip(terms, labels, strict=True))
    recipe = replace(design.recipe, random=tuple(design.recipe.random[k] for k in kept))
    return replace(design, random=random, recipe=recipe), tuple(messages)


def _are_equal(a: RandomTerm, b: RandomTerm) -> bool:
    """Tell whether two terms are the same: grouping factor, coefficients and structure."""
    same = a.group == b.group and a.columns == b.columns and a.structure == b.structure
    return same and np.array_equal(a.Z, b.Z)
