"""A model from a formula, data and parameters, without a fit: to simulate from, and to find its power."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.checks import with_terms_once
from mixedmodels.errors import DataError, FamilyError, FormulaError
from mixedmodels.families import get_family
from mixedmodels.families.family import Family
from mixedmodels.families.response import TRIALS_FAMILIES
from mixedmodels.fits.call import record_call
from mixedmodels.fits.specified import SpecifiedFit
from mixedmodels.formula import build_design
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.response import is_cbind
from mixedmodels.formula.design.theta import term_covariances
from mixedmodels.formula.evaluation.input_frames import in_row_order, input_frame
from mixedmodels.formula.language.parse import parse_formula, parse_tilde
from mixedmodels.formula.language.syntax_tree import Name, Node, deparse, names_in
from mixedmodels.inference.varcorr import VarCorr
from mixedmodels.missing import UNSET
from mixedmodels.prediction.draws import Seed
from mixedmodels.prediction.given_parameters import read_parameters
from mixedmodels.prediction.simulate import SimulationRequest, one_generator, simulate
from mixedmodels.reports.html import Table
from mixedmodels.reports.page import Page, frame_table, html_of

#: Names of the response of a one-sided formula, and of the columns that stand for a response of trials.
RESPONSE, SUCCESSES, FAILURES = "y", ".successes", ".failures"


@dataclass(frozen=True, slots=True)
class ModelSpecification:
    """A model with the parameters it was given: what :func:`mixedmodels.specify` returns.

    Attributes
    ----------
    shown : str
        The formula as it was given.
    formula : str
        The formula whose response is a column of `data` that stands for it.
    data : DataFrame
        The rows that are used.
    arguments : mapping
        Arguments of a fit like it.
    model : SpecifiedFit
        The arrays.
    """

    shown: str
    formula: str
    data: pd.DataFrame
    arguments: Mapping[str, Any]
    model: SpecifiedFit

    def simulate(
        self,
        nsim: int = 1,
        rng: Seed = None,
        *,
        newdata: Any = None,
        seed: Seed = None,
    ) -> pd.DataFrame:
        """Simulate responses, columns sim_1, sim_2, ...; random effects are drawn.

        Parameters
        ----------
        nsim : int
            Number of simulated responses.
        rng, seed : int or numpy Generator, optional
            Seed, under either name.
        newdata : DataFrame or other table, optional
            Rows to simulate at, new levels included; by default those of the data.
        """
        request = SimulationRequest(
            re_form=UNSET if self.model.random else None, newdata=newdata, allow_new_levels=True
        )
        return simulate(self.model, nsim, one_generator(seed, rng), request)

    def __repr__(self) -> str:
        model = self.model
        family, random = model.family(), model.random
        lines: list[str | Table] = ["Model with given parameters", f"Formula: {self.shown}"]
        if family is not None:
            lines.append(f"Family: {family.name} ({family.link.name})")
        if random:
            covariances = term_covariances(random, model.theta_values, model.random_scale)
            residual = model.sigma() if family is None else None
            lines += ["Random effects:", VarCorr(covariances, residual).to_string()]
        elif family is None:
            lines.append(f"Residual standard deviation: {model.sigma():.5g}")
        beta = model.fixef()
        lines += ["Fixed effects:", frame_table(beta.to_string(), beta.to_frame())]
        if family is not None and family.phi_names:
            lines.append(", ".join(f"{n}: {v:.5g}" for n, v in zip(family.phi_names, model.phi, strict=True)))
        return Page(lines)

    def _repr_html_(self) -> str:
        return html_of(repr(self))


advises(ModelSpecification)


@advises
def specify(
    formula: str,
    data: Any,
    family: Any = None,
    *,
    beta: Any = None,
    theta: Any = None,
    sd: Any = None,
    cor: Any = None,
    sigma: float | None = None,
    phi: Any = None,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
) -> ModelSpecification:
    """Return a model with given parameters, without a fit: to simulate from it, and for :func:`power`.

    Parameters
    ----------
    formula : str
        Formula as for :func:`mixedmodels.lmer`; its response need not be in the data, and what is there is
        not looked at, but for numbers of trials, ``"cbind(y, n - y) ~ x + (1 | g)"``.
    data : DataFrame or other table
        The design: predictors and grouping factors, one row an observation.
    family : str, constructor or Family, optional
        Family of the response; a linear model without it.
    beta : mapping or sequence
        Fixed effects by name, ``{"(Intercept)": 10, "x": 0.5}``, or in order. An error lists the names.
    theta : mapping or sequence, optional
        Covariance parameters as ``m.theta()`` has them; or give `sd` and `cor`.
    sd : number, sequence or mapping, optional
        Standard deviations of the random effects: by term, ``{"subject": [25, 6]}``, each in order or by
        name, or all in order.
    cor : number, sequence or mapping, optional
        Correlations by term, ``{"subject": 0.1}``: one, those below the diagonal column by column, or a
        matrix. Effects whose correlation is not stated are uncorrelated.
    sigma : float, optional
        Residual standard deviation of a linear model; of other families with a dispersion its root.
    phi : mapping or sequence, optional
        Parameters of the family: theta of ``"nbinom2"``, dispersion of ``"Gamma"`` and the like.
    weights, offset, contrasts, env, relmat
        As for :func:`mixedmodels.lmer`.

    Returns
    -------
    ModelSpecification
        With ``simulate(nsim, rng)``.

    Raises
    ------
    ControlError
        If a parameter is missing, unknown or impossible; the message lists the names expected.
    FormulaError, DataError, FamilyError
        If the formula, the data or the family is at fault.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = {"x": [0, 1] * 20, "g": [k // 4 for k in range(40)]}
    >>> s = mm.specify("y ~ x + (1 | g)", data, beta=[10, 0.5], sd=1.2, sigma=2)
    >>> s.simulate(3, rng=1).shape
    (40, 3)
    """
    chosen = _family(family)
    response, right = parse_tilde(parse_formula(formula).text)
    arguments = {"weights": weights, "offset": offset, "contrasts": contrasts, "env": env, "relmat": relmat}
    left, columns = _stand_in(response, right, data, env)
    frame = _with_columns(data, columns)
    text = f"{left} ~ {deparse(right)}"
    design = with_terms_once(build_design(text, frame, **arguments))  # type: ignore[arg-type]
    given = {"beta": beta, "theta": theta, "sd": sd, "cor": cor, "sigma": sigma, "phi": phi}
    parameters = read_parameters(design, chosen, given)
    shown = f"{left if response is None else deparse(response)} ~ {deparse(right)}"
    if not all(value is None or isinstance(value, str) for value in (weights, offset)):
        frame, arguments = _arrays_as_columns(frame, arguments)
    used = frame.iloc[design.missing.kept].reset_index(drop=True)
    call = record_call(frame, arguments["weights"], arguments["offset"], None)
    model = SpecifiedFit(
        design, design.response.values, _prior_weights(design, chosen), call, used, chosen, parameters
    )
    return ModelSpecification(shown, text, used, arguments, model)


def _family(family: Any) -> Family | None:
    """Return the family, None for a linear model.

    Raises
    ------
    FamilyError
        If it has no distribution.
    """
    chosen = None if family is None else get_family(family)
    if chosen is None or (chosen.name == "gaussian" and chosen.link.name == "identity"):
        return None
    if chosen.is_quasi:
        raise FamilyError(f"the {chosen.name} family has no distribution to simulate from.")
    return chosen


def _stand_in(
    response: Node | None, right: Node, data: Any, env: Mapping[str, Any] | None
) -> tuple[str, dict[str, FloatArray]]:
    """Return the left side that stands for a response, and the columns it is made of."""
    n = input_frame(data).n_rows
    if response is not None and is_cbind(response):
        trials = _trials(response, data, env)
        return f"cbind({SUCCESSES}, {FAILURES})", {SUCCESSES: np.zeros(n), FAILURES: trials}
    name = (
        RESPONSE if response is None else response.name if isinstance(response, Name) else deparse(response)
    )
    if any(used.name == name for used in names_in(right)):
        raise FormulaError(f"the response {name} stands on both sides of the formula; name another one.")
    return deparse(Name(name)), {name: np.zeros(n)}


def _trials(response: Node, data: Any, env: Mapping[str, Any] | None) -> FloatArray:
    """Return the numbers of trials of ``cbind(y, n - y)``, which do not depend on y.

    Raises
    ------
    DataError
        If they cannot be known.
    """
    frame, known = input_frame(data), env or {}
    absent = list(
        dict.fromkeys(
            name.name for name in names_in(response) if name.name not in frame and name.name not in known
        )
    )
    text = deparse(response)
    sums = []
    for value in (0.0, 1.0):
        table = _with_columns(data, {name: np.full(frame.n_rows, value) for name in absent})
        found = build_design(f"{text} ~ 1", table, env=env, na_action="fail").response
        if found.failures is None:
            raise DataError(f"{text} must have two columns, successes and failures.")
        sums.append(found.values + found.failures)
    if not np.array_equal(sums[0], sums[1]):
        raise DataError(
            f"the numbers of trials of {text} cannot be known without {', '.join(absent)}: write "
            "cbind(y, n - y) with a column n in the data."
        )
    return np.asarray(sums[0])


def _with_columns(data: Any, columns: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Return a table as a pandas frame with further columns."""
    frame = as_frame(data)
    return frame.assign(**columns)


def as_frame(data: Any) -> pd.DataFrame:
    """Return a table as a pandas frame.

    Raises
    ------
    DataError
        If `data` is no table.
    """
    frame = input_frame(data)
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, Mapping):
        return pd.DataFrame({name: np.asarray(values) for name, values in data.items()})
    return pd.DataFrame({name: np.asarray(data[name]) for name in frame.names})


def _arrays_as_columns(frame: pd.DataFrame, arguments: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the data with weights and offset that were arrays as columns, which longer data can repeat."""
    for name in ("weights", "offset"):
        value = arguments[name]
        if value is not None and not isinstance(value, str):
            column = f".{name}"
            frame = frame.assign(**{column: np.asarray(in_row_order(value, name, frame.index))})
            arguments = arguments | {name: column}
    return frame, arguments


def _prior_weights(design: Design, family: Family | None) -> FloatArray:
    """Return the prior weights, numbers of trials included, shape (n,)."""
    weights = np.ones(design.n_rows) if design.weights is None else design.weights
    response = design.response
    if response.failures is None:
        return weights
    if family is None or family.name not in TRIALS_FAMILIES:
        name = "gaussian" if family is None else family.name
        raise FamilyError(
            f"numbers of successes and failures are for the binomial families; the {name} family needs one "
            "column."
        )
    return weights * (response.values + response.failures)
