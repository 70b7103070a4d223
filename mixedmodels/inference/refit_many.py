"""One model, many responses: genes, voxels, sensors, imputed outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, DataError, DataWarning, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.evaluation.input_frames import in_row_order
from mixedmodels.inference.covariance_parameters import deviation_parts, deviations
from mixedmodels.inference.refits import Refits, Refitter, empty_refits, joined
from mixedmodels.inference.simulations import collect
from mixedmodels.parallel import workers
from mixedmodels.progress import Progress

#: Responses of one piece of work where they are fitted together, and where each is fitted on its own.
TOGETHER, ONE_BY_ONE = 2000, 20


@advises
def refit_many(
    model: Fit,
    Y: Any,
    *,
    n_jobs: Any = 1,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Fit one model to many responses and return all estimates in one long table.

    What does not depend on the response is computed once; with one grouping factor responses are fitted
    together.

    Parameters
    ----------
    model : fitted model
        The model; its own response does not matter beyond the start of the searches.
    Y : DataFrame or array_like, shape (n, R)
        One response a column, one row for each row used (or each input row).
    n_jobs : int or Dask Client
        Processes; -1 is one for each processor. The client of a Dask cluster does it on its workers.
    progress : bool, optional
        Whether to draw a bar; by default where tqdm is installed and a terminal or notebook is there.

    Returns
    -------
    DataFrame
        One row for each response and parameter, with columns response, effect ("fixed" or "random"), group,
        term, estimate, std_error (of fixed effects), statistic, objective (REML criterion or -2
        log-likelihood) and verdict. A response that cannot be fitted, such as one without variation, has
        verdict "failed" and NaN. Ctrl-C returns the responses that are done, with a warning.

    Raises
    ------
    DataError
        If Y has the wrong shape, is not numeric or not finite; the message names the column.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> table = mm.refit_many(m, m.simulate(100, seed=1))
    >>> table.query("effect == 'fixed'").shape
    (100, 9)
    """
    if not isinstance(model, Fit):
        raise ControlError(f"refit_many() needs a fitted model, not {shown(model)}.")
    jobs = workers(n_jobs)
    values, names = response_matrix(Y, model.design)
    refitter = Refitter(model)
    size = TOGETHER if refitter.batch is not None else ONE_BY_ONE
    pieces = [values[:, first : first + size] for first in range(0, values.shape[1], size)]
    counts = [piece.shape[1] for piece in pieces]
    with Progress(len(names), progress, "refit") as bar:
        parts, done = collect(refitter.refit, pieces, counts, jobs=jobs, bar=bar, refitter=refitter)
    if done < len(names):
        warn(
            f"refit_many interrupted: {done} of {len(names)} responses are done, and the table has these.",
            DataWarning,
        )
    return long_table(model, joined([empty_refits(model, 0), *parts]), names[:done])


def response_matrix(Y: Any, design: Design) -> tuple[FloatArray, list[Any]]:
    """Return responses at the rows used, shape (n, R), and their names.

    Raises
    ------
    DataError
        If they have the wrong shape, are not numeric or not finite.
    """
    if isinstance(Y, dict):
        Y = pd.DataFrame(Y)
    if hasattr(Y, "to_pandas"):
        Y = Y.to_pandas()
    names = list(Y.columns) if isinstance(Y, pd.DataFrame) else []
    labels = design.missing.input_index
    if isinstance(Y, pd.DataFrame):
        index = design.index if labels is None or len(Y) != len(labels) else labels
        order = in_row_order(pd.Series(np.arange(len(Y)), index=Y.index), "Y", index)
        values = _frame_numbers(Y)[np.asarray(order)]
    else:
        values = _numbers(Y, None)
    if values.ndim != 2 or not values.shape[1]:
        raise DataError(
            f"Y has shape {values.shape}; it must have one row for each row of the model and one response a "
            "column. For a single response there is m.refit(y)."
        )
    if len(values) == design.missing.n_input:
        values = values[design.missing.kept]
    if len(values) != design.n_rows:
        raise DataError(
            f"Y has {len(values)} rows; the model uses {design.n_rows}, one value of each response for each."
        )
    names = names or [f"y{j + 1}" for j in range(values.shape[1])]
    _check_finite(values, names)
    return values, names


def _frame_numbers(Y: pd.DataFrame) -> FloatArray:
    """Return the columns of a table; where they are no numbers, the error names the first that is none."""
    try:
        return np.asarray(Y, dtype=np.float64)
    except (TypeError, ValueError):
        return np.column_stack([_numbers(Y.iloc[:, j], name) for j, name in enumerate(Y.columns)])


def _numbers(values: Any, name: Any) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        column = "" if name is None else f" column {name!r}"
        raise DataError(f"Y{column} must be numbers.") from error


def _check_finite(values: FloatArray, names: list[Any]) -> None:
    finite = np.isfinite(values)
    if finite.all():
        return
    wrong = np.flatnonzero(~finite.all(axis=0))
    j = int(wrong[0])
    more = f", and {len(wrong) - 1} more columns" if len(wrong) > 1 else ""
    raise DataError(
        f"Y is not finite in column {names[j]!r}, first at row {int(np.argmin(finite[:, j]))} (counting from "
        f"0){more}. Every response needs a value at every row; drop the column, or fit it on its own."
    )


def long_table(model: Fit, refits: Refits, names: list[Any]) -> pd.DataFrame:
    """Return one row for each response and parameter."""
    R, family = len(names), model.family()
    scale = refits.sigma if family is None else np.ones(R)
    sd = deviations(model.random, refits.theta, scale)
    parts = [("random", group, name) for group, name in deviation_parts(model.random)]
    if family is None:
        parts.append(("random", "Residual", "sigma"))
        sd = np.column_stack([sd, refits.sigma])
    else:
        parts += [("family", "", name) for name in family.phi_names]
        sd = np.column_stack([sd, refits.phi])
    parts = [("fixed", "", name) for name in model.design.x_names] + parts
    estimates = np.column_stack([refits.beta, sd])
    se = np.column_stack([refits.se, np.full(sd.shape, np.nan)])
    m = len(parts)
    return pd.DataFrame(
        {
            "response": np.repeat(np.array(names, dtype=object), m),
            "effect": np.tile(np.array([p[0] for p in parts], dtype=object), R),
            "group": np.tile(np.array([p[1] for p in parts], dtype=object), R),
            "term": np.tile(np.array([p[2] for p in parts], dtype=object), R),
            "estimate": estimates.ravel(),
            "std_error": se.ravel(),
            "statistic": (estimates / se).ravel(),
            "objective": np.repeat(refits.objective, m),
            "verdict": np.repeat(refits.verdict, m),
        }
    )
