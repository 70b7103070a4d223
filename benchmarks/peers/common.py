"""What several contestants need done to the data before their clock starts."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from benchmarks.suite import Model, counts


def response(model: Model, frame: pd.DataFrame) -> pd.Series:
    """Return the response as numbers: successes of ``cbind``, 0/1 of a two-level factor, else the column."""
    pair = counts(model)
    column = frame[pair[0] if pair else model.response]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.astype(float)
    return column.astype(float)


def with_plain_columns(model: Model, frame: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Replace a factor response and ``I(x^k)``, which few parsers read, by numeric columns."""
    frame, right = frame.copy(), model.formula.partition("~")[2]
    for name, power in set(re.findall(r"I\((\w+)\^(\d)\)", right)):
        frame[f"{name}_{power}"] = frame[name] ** int(power)
        right = right.replace(f"I({name}^{power})", f"{name}_{power}")
    pair = counts(model)
    if pair:
        frame["proportion"] = response(model, frame) / frame[pair[1]]
        return f"proportion ~{right}", frame
    frame[model.response] = response(model, frame)
    return f"{model.response} ~{right}", frame


def trials(model: Model, frame: pd.DataFrame) -> np.ndarray | None:
    """Return the binomial denominators, where there are any."""
    pair = counts(model)
    return None if pair is None else frame[pair[1]].to_numpy(float)


def with_numeric_slopes(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """Code two-level factors that have random slopes as 0 and 1: the same model under treatment contrasts."""
    frame = frame.copy()
    for expression, _ in model.random:
        for name in re.findall(r"[A-Za-z_]\w*", expression):
            if isinstance(frame[name].dtype, pd.CategoricalDtype) and frame[name].cat.categories.size == 2:
                frame[name] = frame[name].cat.codes.astype(float)
    return frame


def crossed(model: Model) -> bool:
    """Whether the model has more than one grouping factor."""
    return len({group for _, group in model.random}) > 1
