"""Small data sets for the tests of the formula language."""

import numpy as np
import pandas as pd
import pytest

from mixedmodels.datasets import load_dataset


@pytest.fixture(scope="session")
def sleepstudy():
    return load_dataset("sleepstudy")


@pytest.fixture(scope="session")
def mixed():
    """Return 48 rows with a column of every kind."""
    n = 48
    i = np.arange(n)
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": i / 10.0 + 1.0,
            "k": i % 5,
            "f": pd.Categorical(np.array(["a", "b", "c"])[i % 3], categories=["a", "b", "c"]),
            "o": pd.Categorical(
                np.array(["lo", "mid", "hi"])[i // 2 % 3], categories=["lo", "mid", "hi"], ordered=True
            ),
            "s": np.array(["u", "v"])[i // 5 % 2],
            "b": i % 7 > 2,
            "g": pd.Categorical([f"g{j}" for j in i % 8]),
            "h": pd.Categorical([f"h{j}" for j in i // 12]),
        }
    )
