"""The argument `re_form`: which random effects a prediction conditions on, in all the ways people say it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.errors import ControlError
from mixedmodels.formula.language.bars import Bar
from mixedmodels.formula.language.parse import parse_formula
from mixedmodels.missing import NAType

ReForm = str | float | NAType | None
# Texts that say "no random effects" and "all of them", spaces aside.
NO_EFFECTS = ("NA", "~0", "0", "~-1", "False", "FALSE")
ALL_EFFECTS = ("None", "NULL")


def plain_re_form(re_form: object) -> str | Literal[False] | None:
    """Return what `re_form` asks for: None for all random effects, False for none, or a formula.

    Raises
    ------
    ControlError
        If it is none of these.
    """
    if re_form is None or isinstance(re_form, str):
        text = "None" if re_form is None else re_form.replace(" ", "")
        if text in ALL_EFFECTS or text in NO_EFFECTS:
            return None if text in ALL_EFFECTS else False
        return f"~{re_form}" if "|" in text and "~" not in text else re_form
    if isinstance(re_form, NAType) or re_form is pd.NA:
        return False
    if isinstance(re_form, (bool, int, float, np.bool_, np.number)) and (re_form == 0 or re_form != re_form):
        return False  # False, 0 and NaN
    raise ControlError(
        f"re_form must be None, NA, False or a formula such as '~(1 | g)', not {shown(re_form)}."
    )


def named_effects(re_form: str) -> tuple[Bar, ...]:
    """Return the random-effects terms that a formula names, at least one.

    Raises
    ------
    ControlError
        If it names none.
    FormulaError
        If it cannot be read.
    """
    bars = parse_formula(re_form).bars if "|" in re_form else ()
    if not bars:
        raise ControlError(
            f"re_form={re_form!r} names no random effects: write them in parentheses, '~(1 | g)', or mm.NA "
            "(or '~0') for none."
        )
    return bars
