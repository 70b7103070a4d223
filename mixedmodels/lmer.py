"""Fit a linear mixed model: what may be asked for; `linear_request` has what is then done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast, overload

import numpy.typing as npt
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.checks import require_random_terms
from mixedmodels.control import INFORMATION, Information, LmerControl, Start, as_control, one_of
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import MissingArgumentError
from mixedmodels.factorization.threads import at_most
from mixedmodels.formula.design.design import NaAction
from mixedmodels.linear_request import fit_linear_request, fit_structured_request
from mixedmodels.optimization.watch import Verbosity, say_what_was_done, watched
from mixedmodels.request import read_request

with on_first_use():
    from mixedmodels import lmer_of_sums

if TYPE_CHECKING:
    from mixedmodels.models.linear import LinearMixedModel
    from mixedmodels.models.structured_mixed import StructuredLinearMixedModel
    from mixedmodels.models.summed import SummedLinearMixedModel
    from mixedmodels.moments import Moments

#: In place of data: moments need none, and a formula without any is told so.
NOT_GIVEN: Any = type("NotGiven", (), {"__repr__": lambda _: "<not given>"})()
#: What is meant where REML= holds the name of a method, and where it holds a column.
AS_A_METHOD, AS_A_GROUP = "; False is ML", "; grouping goes into the formula, as in 'y ~ x + (1 | g)'"


@overload
def lmer(
    formula: Moments,
    data: None = None,
    REML: bool = True,
    *,
    start: Start = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    verbose: Verbosity = None,
) -> SummedLinearMixedModel: ...
@overload
def lmer(
    formula: str,
    data: Any,
    REML: bool = True,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: None = None,
    dispersion: None = None,
    information: Information = "observed",
    verbose: Verbosity = None,
) -> LinearMixedModel: ...
@overload
def lmer(
    formula: str,
    data: Any,
    REML: bool = True,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str,
    dispersion: str | None = None,
    information: Information = "observed",
    verbose: Verbosity = None,
) -> StructuredLinearMixedModel: ...
@overload
def lmer(
    formula: str,
    data: Any,
    REML: bool = True,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    dispersion: str,
    information: Information = "observed",
    verbose: Verbosity = None,
) -> StructuredLinearMixedModel: ...
@advises
def lmer(
    formula: str | Moments,
    data: Any = NOT_GIVEN,
    REML: bool = True,
    *,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Start = None,
    control: LmerControl | Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    dispersion: str | None = None,
    information: Information = "observed",
    verbose: Verbosity = None,
) -> LinearMixedModel | StructuredLinearMixedModel:
    """Fit a linear mixed model by REML or maximum likelihood.

    Parameters
    ----------
    formula : str or Moments
        lme4 formula, ``"Reaction ~ Days + (Days | Subject)"``; or sums that :func:`mixedmodels.moments` made,
        which need no data.
    data : DataFrame, dict of arrays, polars DataFrame or pyarrow Table; or a source
        The variables. A source is read in batches: a path of Parquet or CSV files, a pyarrow Dataset, a
        DuckDB relation, a Polars LazyFrame, a Dask or Spark DataFrame, an iterable of tables.
    REML : bool
        Restricted maximum likelihood (default), or maximum likelihood.
    weights : str or array_like, optional
        Prior (precision) weights: ``Var(y_i | b) = sigma^2 / w_i``. A row of weight zero does not count.
        A pandas Series is matched to the rows of a DataFrame by label, here and in `offset` and `subset`.
    offset : str or array_like, optional
        Known part of the linear predictor, added to any ``offset()`` in the formula.
    subset : str or array_like, optional
        Condition that selects rows.
    na_action : {"omit", "exclude", "fail", "pass"}
        What to do with rows in which a variable is missing; "exclude" pads results with NaN.
    contrasts : mapping, optional
        Coding of factors in the fixed effects, ``{"f": "contr.sum"}``.
    start : array_like or mapping, optional
        Starting values of theta, or ``{"theta": ...}``.
    control : LmerControl or mapping, optional
        Options.
    env : mapping, optional
        Further names the formula may use.
    relmat : mapping, optional
        Known covariance between the levels of a grouping factor.
    residual : str, optional
        Correlation of the residuals within groups, beside the random effects: ``"ar1(visit | subject)"``; the
        structures are those of :func:`mixedmodels.gls`. The groups are nested in the levels of every random
        effect.
    dispersion : str, optional
        Variances of the residuals: ``"ident(sex)"``, ``"power(age)"``, ``"~ sex + age"``.
    information : {"observed", "expected"}
        With one of these two, the information about the covariance parameters that Kenward and Roger's method
        takes: observed as SAS, or expected as R's pbkrtest, which models without them have.
    verbose : {0, 1, 2}, optional
        Whether to print a line at the end (1), and one for each evaluation of the search (2). By default
        nothing is printed, but a bar is drawn for a fit of more than three seconds where tqdm is installed
        and a terminal or notebook is there; 0 draws none. The logger "mixedmodels" has the same lines, of
        levels INFO and DEBUG.

    Returns
    -------
    LinearMixedModel, or StructuredLinearMixedModel where `residual` or `dispersion` is given
        Of moments or a source a SummedLinearMixedModel, which has no rows.

    Raises
    ------
    FormulaError, DataError, ControlError
        If the formula, the data or an option is at fault; the message names it.
    UnknownArgumentError
        If there is no such argument; the message says what to write (so for every function here).

    References
    ----------
    Bates, Maechler, Bolker & Walker (2015), J. Stat. Softw. 67(1).

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> m.fixef().round(3).tolist()
    [251.405, 10.467]
    """
    of_a_method = isinstance(REML, str) and REML.upper() in ("ML", "REML")
    one_of("REML", REML, (True, False), AS_A_METHOD if of_a_method else AS_A_GROUP)
    one_of("information", information, INFORMATION)
    options = as_control(control, LmerControl)
    in_memory = isinstance(formula, str) and isinstance(data, (pd.DataFrame, Mapping))
    if not in_memory and lmer_of_sums.is_asked(formula, data):
        return lmer_of_sums.fit(
            formula, None if data is NOT_GIVEN else data, REML, start, options, relmat, verbose,
            structure=(residual, dispersion),
            asked={
                "weights": weights, "offset": offset, "subset": subset, "contrasts": contrasts, "env": env,
                "na_action": None if na_action == "omit" else na_action,
            },
        )  # fmt: skip
    if data is NOT_GIVEN:
        raise MissingArgumentError("lmer() needs data, as in lmer('y ~ x + (1 | g)', data).")
    request = read_request(
        cast("str", formula), data, weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env, relmat=relmat, residual=residual, dispersion=dispersion,
        information=None if information == "observed" else information,
    )  # fmt: skip
    require_random_terms(request.design)
    structured = residual is not None or dispersion is not None
    fit = fit_structured_request if structured else fit_linear_request
    with watched("lmer", verbose), at_most(options.n_threads):
        model = fit(request, REML, start, options)
    say_what_was_done("lmer", verbose, model.optimization, model.convergence())
    return model
