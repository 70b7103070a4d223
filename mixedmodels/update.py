"""Fit a model again with some of its arguments changed: ``update(m, ". ~ . - x")``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast, overload

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.advice import advises, shown
from mixedmodels.errors import ControlError, DataError, FormulaError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.language.update import update_formula
from mixedmodels.gee import gee
from mixedmodels.glm import glm
from mixedmodels.glmer import glmer
from mixedmodels.gls import gls
from mixedmodels.lm import lm
from mixedmodels.lmer import lmer
from mixedmodels.mmrm import mmrm
from mixedmodels.models.gee import GeeModel
from mixedmodels.models.generalized import GeneralizedLinearMixedModel
from mixedmodels.models.glm import GeneralizedLinearModel
from mixedmodels.models.linear import LinearMixedModel
from mixedmodels.models.lm import LinearModel
from mixedmodels.models.nonlinear import NonlinearMixedModel
from mixedmodels.models.nonlinear_family import GeneralizedNonlinearMixedModel
from mixedmodels.models.pql import QuasiLikelihoodMixedModel
from mixedmodels.models.structured import GlsModel, MmrmModel
from mixedmodels.models.structured_mixed import StructuredLinearMixedModel
from mixedmodels.models.structured_nonlinear import StructuredNonlinearMixedModel
from mixedmodels.nlmer import nlmer

if TYPE_CHECKING:
    from mixedmodels.glmer import AnyModel

#: What fits each kind of model.
FITTERS: dict[type, Callable[..., Any]] = {
    LinearMixedModel: lmer,
    LinearModel: lm,
    GeneralizedLinearMixedModel: glmer,
    QuasiLikelihoodMixedModel: glmer,
    GeneralizedLinearModel: glm,
    StructuredLinearMixedModel: lmer,
    GlsModel: gls,
    MmrmModel: mmrm,
    GeeModel: gee,
    NonlinearMixedModel: nlmer,
    GeneralizedNonlinearMixedModel: nlmer,
    StructuredNonlinearMixedModel: nlmer,
}


@overload
def update(
    model: LinearMixedModel, formula: str | None = None, data: Any = None, **arguments: Any
) -> LinearMixedModel: ...
@overload
def update(
    model: LinearModel, formula: str | None = None, data: Any = None, **arguments: Any
) -> LinearModel: ...
@overload
def update(
    model: GeneralizedLinearModel, formula: str | None = None, data: Any = None, **arguments: Any
) -> GeneralizedLinearModel: ...
@overload
def update(model: Fit, formula: str | None = None, data: Any = None, **arguments: Any) -> AnyModel: ...
@advises
def update(
    model: Fit, formula: str | None = None, data: Any = None, **arguments: Any
) -> AnyModel | LinearModel:
    """Fit a model again with another formula, other data or other arguments, as R's update().

    Parameters
    ----------
    model : fitted model
        The model.
    formula : str, optional
        Change of the formula, in which ``.`` stands for what was there: ``". ~ . - x + (1 | g)"``.
    data : DataFrame or other table, optional
        Other data.
    **arguments
        Arguments of the function that fitted the model, in place of those it had: ``REML=False``,
        ``weights=``, ``family=``. Those not given stay, but for `start`, `control` and `hessian`, which are
        the defaults; None takes one away.

    Returns
    -------
    fitted model
        Of the kind that the function returns.

    Raises
    ------
    FormulaError
        If `formula` takes out a random-effects term that is not there.
    ControlError
        If `model` is no fitted model.
    DataError
        If there are other data, and an argument that stays was an array of the rows of the old ones.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.update(m, ". ~ . - (Days | Subject) + (1 | Subject)", REML=False).formula()
    'Reaction ~ Days + (1 | Subject)'
    """
    fitter = FITTERS.get(type(model))
    if isinstance(model, Fit) and isinstance(model.data, AbsentRows):
        raise NotAvailableError(_without_rows(model))
    if fitter is None:
        raise ControlError(f"update() needs a fitted model, not {shown(model)}.")
    if formula is not None and not isinstance(formula, str):
        raise ControlError(
            f"formula must be a text such as '. ~ . - x', not {shown(formula)}; new data are data=."
        )
    changed = _changed_formula(model, formula)
    kept = kept_arguments(model)
    if isinstance(model, MmrmModel):  # whose formula has the structure among its terms
        changed = f"{changed} + {kept.pop('residual')}"
    if data is not None:
        _refuse_arrays(kept, arguments)
    return cast(
        "AnyModel | LinearModel", fitter(changed, model.data if data is None else data, **kept | arguments)
    )


def _without_rows(model: Fit) -> str:
    """Return why a model without rows is not fitted again, and what to do."""
    name = "lm" if isinstance(model, LinearModel) else "lmer"
    if isinstance(model, GeneralizedLinearMixedModel | GeneralizedLinearModel):
        name = "glm" if isinstance(model, GeneralizedLinearModel) else "glmer"
        return f"update() fits to rows again, which this model does not hold: call {name}() with the source."
    return (
        f"update() fits to rows again, and this model was fitted to sums over them: call {name}() with the "
        f"source, or with moments() of it, of which one set serves any number of fits."
    )


def _changed_formula(model: Fit, change: str | None) -> str:
    """Return the formula of the next fit.

    Raises
    ------
    FormulaError
        If a nonlinear formula, which is no sum of terms, is to be changed term by term.
    """
    formula = str(model.design.formula)
    if change is None:
        return formula
    if not isinstance(model, NonlinearMixedModel):
        return update_formula(formula, change)
    if any(piece.strip() == "." for piece in re.split(r"[~+\-]", change)):
        raise FormulaError(
            "the formula of a nonlinear model is no sum of terms, of which '.' could stand for some: write "
            f"it whole, as in update(m, {formula!r}).",
            change,
        )
    return change


def kept_arguments(model: Fit) -> dict[str, Any]:
    """Return the arguments that fitted a model."""
    kept: dict[str, Any] = dict(model.call.arguments)
    if model.design.recipe.env:
        kept["env"] = model.design.recipe.env
    if isinstance(model, LinearMixedModel | StructuredLinearMixedModel | GlsModel):
        kept["REML"] = model.is_reml
    elif isinstance(model, NonlinearMixedModel):
        kept |= kept_by_nlmer(model)
    elif model.family() is not None:
        kept["family"] = model.family()
    if isinstance(model, GeneralizedLinearMixedModel | GeneralizedNonlinearMixedModel):
        kept["nAGQ"] = model.estimates.nAGQ
    if isinstance(model, QuasiLikelihoodMixedModel):
        kept["method"] = "pql"
    return kept


def kept_by_nlmer(model: NonlinearMixedModel) -> dict[str, Any]:
    """Return the arguments of nlmer() that its estimates tell; they are where the next fit begins."""
    e = model.estimates
    criterion = {"nAGQ": e.nAGQ, "method": e.method, "REML": e.REML}
    curvature = {"hessian": "observed" if e.observed else "expected"}
    return criterion | curvature


def _refuse_arrays(kept: dict[str, Any], given: dict[str, Any]) -> None:
    """Raise DataError if an argument is an array of the old rows."""
    for name in ("weights", "offset", "subset", "groups", "time"):
        if name in kept and name not in given and not isinstance(kept[name], str):
            raise DataError(
                f"{name} was an array of the rows of the old data: give {name}= for the new ones, or None."
            )
