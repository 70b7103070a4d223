"""Names of the levels that values of any type are."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.formula.language.number_format import number_name


def level_names(categories: Any) -> tuple[str, ...]:
    """Return categories of any type as the strings R would show, all digits where R's 15 are too few."""
    return tuple(map(_level_name, categories.tolist() if hasattr(categories, "tolist") else categories))


def _level_name(category: Any) -> str:
    """Return one category as a string."""
    if isinstance(category, str):
        return str(category)
    if isinstance(category, (bool, np.bool_)):
        return "TRUE" if category else "FALSE"
    if isinstance(category, (float, np.floating)):
        return number_name(float(category))
    if isinstance(category, (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64)):
        return moment_name(category)
    return number_name(category) if isinstance(category, Decimal) else str(category)


def moment_name(moment: Any) -> str:
    """Return a date or time as R shows it: the day alone at midnight, else with the time."""
    if isinstance(moment, np.datetime64):
        moment = pd.Timestamp(moment)
    if isinstance(moment, np.timedelta64):
        moment = pd.Timedelta(moment)
    text = str(moment)
    return text.removesuffix(" 00:00:00")
