"""The data a model keeps: the columns it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.formula.design.design import Design
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import names_in


def column_names(design: Design) -> list[str]:
    """Return the names that the formula of a design uses, in order."""
    nodes = design.recipe.variables.values()
    return list(dict.fromkeys(name.name for node in nodes for name in names_in(node)))


def keep(data: Any) -> Any:
    """Return `data` as a model keeps it: a pandas frame copied on write, which later changes do not reach."""
    return data.copy(deep=False) if isinstance(data, pd.DataFrame) else data


def columns_in_use(data: Any, design: Design, arguments: Iterable[Any] = ()) -> Any:
    """Return a pandas frame reduced to the columns of the model; other tables as they are.

    Parameters
    ----------
    data : table
        The data.
    design : Design
        Arrays of the model.
    arguments : iterable
        Arguments of the fit such as the weights, of which texts are expressions of columns.
    """
    if not isinstance(data, pd.DataFrame):
        return data
    texts = [a for a in arguments if isinstance(a, str)]
    others = [name.name for text in texts for name in names_in(parse_expression(text))]
    return data[[name for name in dict.fromkeys(column_names(design) + others) if name in data.columns]]


def used_variables(data: Any, design: Design) -> pd.DataFrame:
    """Return the variables of the model at the rows used, as a DataFrame."""
    names = [name for name in column_names(design) if name in data]
    if isinstance(data, pd.DataFrame):
        return data.loc[design.index, names] if data.index.is_unique else data[names]
    table = pd.DataFrame({name: np.asarray(data[name]) for name in names})
    return table.loc[design.index]
