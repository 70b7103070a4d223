"""Which term of the formula each column of a model matrix belongs to."""

from __future__ import annotations

from mixedmodels.formula.design.coding import MatrixRecipe


def column_terms(recipe: MatrixRecipe) -> list[str]:
    """Return the label of the term each column belongs to, ``(Intercept)`` for the intercept."""
    names = [variable.name for variable in recipe.variables]
    return [
        ":".join(name for i, name in enumerate(names) if pattern >> i & 1) if pattern else "(Intercept)"
        for pattern in recipe.assign
    ]
