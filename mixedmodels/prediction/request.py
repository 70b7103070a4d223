"""What is asked of a prediction, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri, stdtrit

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of, real_number, true_or_false
from mixedmodels.errors import ControlError

PredictionType = Literal["link", "response", "disp"]
IntervalType = Literal["confidence", "prediction"]
NewNaAction = Literal["pass", "exclude", "omit", "fail"]
DfOfLimits = float | Literal["satterthwaite", "kenward-roger"] | None


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What is asked of a prediction.

    Attributes
    ----------
    type : {"link", "response", "disp"}
        Scale; ``"disp"`` asks for the dispersion parameter of each row instead.
    allow_new_levels : bool
        Whether levels that were not in the data are allowed.
    random_only : bool
        Whether only the contribution of the random effects is asked for.
    offset, weights : optional
        In place of those of the fit, at new rows.
    se_fit : bool
        Whether standard errors are asked for.
    interval : {"confidence", "prediction"} or None
        Kind of limits.
    level : float
        Their probability.
    df : float, "satterthwaite", "kenward-roger" or None
        Degrees of freedom of their t quantiles; None for those of the fit's own tests, normal if it has none.
        ``"kenward-roger"`` is of conditional predictions, whose standard errors it enlarges.
    na_action : {"pass", "exclude", "omit", "fail"}
        What is done with new rows that have a missing value.
    conditional : bool
        Whether rows are predicted from the residuals of their group.

    Raises
    ------
    ControlError
        If a choice is not among those allowed, or two contradict each other.
    """

    type: PredictionType = "link"
    allow_new_levels: bool = False
    random_only: bool = False
    offset: Any = None
    weights: Any = None
    se_fit: bool = False
    interval: IntervalType | None = None
    level: float = 0.95
    df: DfOfLimits = None
    na_action: NewNaAction = "pass"
    conditional: bool = False

    def __post_init__(self) -> None:
        one_of("type", self.type, ("link", "response", "disp"))
        if self.type == "disp" and (self.se_fit or self.interval is not None or self.random_only):
            raise ControlError(
                "type='disp' is the dispersion parameter of each row, which has no random effects and no "
                "se_fit or interval here: leave these out; m.dispersion_coefficients() has standard errors."
            )
        true_or_false(
            allow_new_levels=self.allow_new_levels, random_only=self.random_only, se_fit=self.se_fit
        )
        one_of("interval", self.interval, (None, "confidence", "prediction"))
        one_of("na_action", self.na_action, ("pass", "exclude", "omit", "fail"))
        if real_number("level", self.level) >= 1.0:
            raise ControlError(
                f"level must be a probability between 0 and 1, such as 0.95, not {self.level!r}."
            )
        if isinstance(self.df, str):
            one_of("df", self.df, ("satterthwaite", *["kenward-roger"] * self.conditional))
        elif self.df is not None:
            real_number("df", self.df)
        if self.random_only and self.interval == "prediction":
            raise ControlError(
                "interval='prediction' is about responses, random_only=True about the random effects alone; "
                "these have interval='confidence'."
            )

    def quantile(self, test_df: float | None, df: FloatArray | None = None) -> FloatArray | float:
        """Return the quantile that a standard error is multiplied by.

        Parameters
        ----------
        test_df : float or None
            Degrees of freedom of the fit's own tests.
        df : ndarray, shape (m,), optional
            Degrees of freedom of each row, where they have their own.
        """
        tail = 0.5 + 0.5 * self.level
        if df is not None:
            finite = np.isfinite(df)
            return np.where(finite, stdtrit(np.where(finite, df, 1.0), tail), ndtri(tail))
        one = test_df if self.df is None or isinstance(self.df, str) else self.df
        return float(ndtri(tail) if one is None or np.isinf(one) else stdtrit(one, tail))
