"""The data of each model: built once, written once, read back the same by Python and R.

A stored frame is two files: ``<name>.csv`` with the columns and ``<name>.levels.csv`` with the levels of
every factor in order (columns ``column, level``). Every contestant reads these, so all fit the same numbers.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.simulate import SIMULATIONS, FloatArray
from benchmarks.suite import Model, counts

NEW_RESPONSE = "new_response"


def cache_directory() -> Path:
    """Return where stored frames are kept: ``BENCHMARKS_CACHE`` or a folder under the temporary one."""
    default = Path(tempfile.gettempdir()) / "mixedmodels-benchmarks"
    return Path(os.environ.get("BENCHMARKS_CACHE", default))


def build(model: Model) -> pd.DataFrame:
    """Simulate or load the data of a model, only the columns its formula names."""
    if model.simulated:
        frame = SIMULATIONS[model.data](**dict(model.arguments))
    else:
        from mixedmodels.datasets import load_dataset

        frame = load_dataset(model.data)
    names = set(re.findall(r"[A-Za-z_.][\w.]*", model.formula))
    frame = frame[[column for column in frame.columns if column in names]].dropna().reset_index(drop=True)
    if model.target_refit is not None:
        frame[NEW_RESPONSE] = new_response(model, frame)
    return frame


def new_response(model: Model, frame: pd.DataFrame, seed: int = 13) -> FloatArray:
    """Draw a response near the one observed, as a bootstrap would: noise added, or counts redrawn."""
    rng = np.random.default_rng(seed)
    pair = counts(model)
    if pair:
        successes, trials = (frame[name].to_numpy(float) for name in pair)
        return rng.binomial(trials.astype(np.int64), (successes + 0.5) / (trials + 1.0)).astype(np.float64)
    y = frame[model.response].to_numpy(float)
    return np.asarray(y + rng.normal(scale=0.25 * y.std(), size=y.size))


def store(model: Model, directory: Path) -> Path:
    """Write the frame of a model unless it is there, and return the path of its CSV file."""
    arguments = "".join(f"-{name}{value}" for name, value in model.arguments)
    columns = "" if model.simulated else f"-{model.id}"
    path = directory / f"{model.data}{arguments}{columns}.csv"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        write(build(model), path)
    return path


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame and the levels of its factors; the CSV file appears last, complete."""
    factors = [column for column in frame.columns if isinstance(frame[column].dtype, pd.CategoricalDtype)]
    levels = [(column, level) for column in factors for level in frame[column].cat.categories]
    pd.DataFrame(levels, columns=["column", "level"]).to_csv(levels_path(path), index=False)
    unfinished = path.with_suffix(".part")
    frame.to_csv(unfinished, index=False)
    unfinished.replace(path)


def read(path: Path) -> pd.DataFrame:
    """Read a stored frame, factors as categoricals with string levels in the stored order."""
    levels = pd.read_csv(levels_path(path), dtype=str, keep_default_na=False)
    factors = {column: list(rows["level"]) for column, rows in levels.groupby("column", sort=False)}
    frame = pd.read_csv(path, dtype=dict.fromkeys(factors, "str"))
    for column, ordered in factors.items():
        frame[column] = pd.Categorical(frame[column], categories=ordered)
    return frame


def levels_path(path: Path) -> Path:
    """Return the path of the levels that belong to a stored frame."""
    return path.with_name(f"{path.stem}.levels.csv")


def megabytes(frame: pd.DataFrame) -> float:
    """Return the memory of a data frame, strings included, in MB."""
    return float(np.sum(frame.memory_usage(deep=True))) / 1e6
