"""The FEV trial of R's package mmrm (openpharma, Apache-2.0): 200 subjects, four visits, some missing."""

from functools import cache
from pathlib import Path

import pandas as pd


@cache
def fev() -> pd.DataFrame:
    """Return the data, all 800 rows, levels in the order of the package."""
    data = pd.read_csv(Path(__file__).with_name("fev.csv"))
    levels = {"race": ["Asian", "Black", "White"], "sex": ["Male", "Female"], "arm": ["PBO", "TRT"]}
    for name, order in levels.items():
        data[name] = pd.Categorical(data[name], order)
    data["visit"] = pd.Categorical("VIS" + data["visit"].astype(str), [f"VIS{k}" for k in (1, 2, 3, 4)])
    data["subject"] = pd.Categorical("PT" + data["subject"].astype(str))
    return data
