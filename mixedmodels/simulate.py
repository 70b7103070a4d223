"""Simulate responses: of a fitted model, or of a formula with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.models.fixed_effects_model import FixedEffectsModel
from mixedmodels.models.mixed_model import MixedModel
from mixedmodels.prediction.draws import Seed
from mixedmodels.prediction.re_form import ReForm
from mixedmodels.specify import ModelSpecification, specify


@overload
def simulate(
    model: MixedModel,
    /,
    nsim: int = 1,
    seed: Seed = None,
    use_u: bool = False,
    re_form: ReForm = ...,
    newdata: Any = None,
    allow_new_levels: bool = False,
    *,
    newparams: Mapping[str, Any] | None = None,
    weights: Any = None,
    offset: Any = None,
    rng: Seed = None,
) -> pd.DataFrame: ...
@overload
def simulate(
    model: FixedEffectsModel,
    /,
    nsim: int = 1,
    seed: Seed = None,
    newdata: Any = None,
    *,
    newparams: Mapping[str, Any] | None = None,
    weights: Any = None,
    offset: Any = None,
    rng: Seed = None,
) -> pd.DataFrame: ...
@overload
def simulate(
    model: ModelSpecification, /, nsim: int = 1, rng: Seed = None, *, seed: Seed = None
) -> pd.DataFrame: ...
@overload
def simulate(
    model: str, /, data: Any, nsim: int = 1, *, rng: Seed = None, seed: Seed = None, **parameters: Any
) -> pd.DataFrame: ...
@advises
def simulate(model: Any, /, *args: Any, **kwargs: Any) -> pd.DataFrame:
    """Simulate responses, one a column.

    Parameters
    ----------
    model : fitted model, ModelSpecification or str
        A fitted model: ``simulate(m, nsim, ...)`` is ``m.simulate(nsim, ...)``. A formula without a fit:
        ``simulate("y ~ x + (1 | g)", data, nsim=100, beta=, sd=, sigma=, rng=1)``.
    *args, **kwargs
        Of the model's method; or data, nsim, rng and the parameters, as for :func:`mixedmodels.specify`.

    Returns
    -------
    DataFrame
        Columns sim_1, sim_2, ...

    Raises
    ------
    ControlError
        If a parameter is missing, unknown or impossible; the message lists the names expected.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = {"x": [0, 1] * 20, "g": [k // 4 for k in range(40)]}
    >>> mm.simulate("y ~ x + (1 | g)", data, nsim=5, beta={"(Intercept)": 10, "x": 0.5}, sd=1, sigma=2).shape
    (40, 5)
    """
    if isinstance(model, str):
        return _simulate_formula(model, *args, **kwargs)
    if not (isinstance(model, Fit) and hasattr(model, "simulate")) and not isinstance(
        model, ModelSpecification
    ):
        raise NotAvailableError(f"simulate() needs a fitted model or a formula; {shown(model)} is neither.")
    table: pd.DataFrame = model.simulate(*args, **kwargs)
    return table


def _formula_simulation(
    formula: str,
    data: Any,
    nsim: int = 1,
    *,
    rng: Seed = None,
    seed: Seed = None,
    **parameters: Any,
) -> pd.DataFrame:
    return specify(formula, data, **parameters).simulate(nsim, rng, seed=seed)


# Its messages are about what was called.
_formula_simulation.__name__ = "simulate"
_simulate_formula = advises(_formula_simulation)
