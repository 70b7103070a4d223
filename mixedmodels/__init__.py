"""Linear and generalized linear mixed models with lme4's formulas, names and results, without R."""

from __future__ import annotations

import gc
import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixedmodels.control import GlmerControl as GlmerControl
    from mixedmodels.control import LmerControl as LmerControl
    from mixedmodels.datasets import list_datasets as list_datasets
    from mixedmodels.datasets import load_dataset as load_dataset
    from mixedmodels.diagnostics.checks.check_model import check_model as check_model
    from mixedmodels.diagnostics.checks.collinearity import check_collinearity as check_collinearity
    from mixedmodels.diagnostics.checks.convergence import check_convergence as check_convergence
    from mixedmodels.diagnostics.checks.heteroscedasticity import (
        check_heteroscedasticity as check_heteroscedasticity,
    )
    from mixedmodels.diagnostics.checks.normality import check_normality as check_normality
    from mixedmodels.diagnostics.checks.overdispersion import check_overdispersion as check_overdispersion
    from mixedmodels.diagnostics.checks.singularity import check_singularity as check_singularity
    from mixedmodels.diagnostics.checks.zero_inflation import check_zero_inflation as check_zero_inflation
    from mixedmodels.diagnostics.demean import demean as demean
    from mixedmodels.diagnostics.influence import Influence as Influence
    from mixedmodels.diagnostics.influence import influence as influence
    from mixedmodels.diagnostics.r2 import icc as icc
    from mixedmodels.diagnostics.r2 import r2 as r2
    from mixedmodels.diagnostics.re_pca import rePCA as rePCA
    from mixedmodels.diagnostics.scaled.result import ScaledResiduals as ScaledResiduals
    from mixedmodels.diagnostics.scaled_residuals import scaled_residuals as scaled_residuals
    from mixedmodels.diagnostics.serial_correlation import acf as acf
    from mixedmodels.diagnostics.serial_correlation import variogram as variogram
    from mixedmodels.errors import ApproximationWarning as ApproximationWarning
    from mixedmodels.errors import ControlError as ControlError
    from mixedmodels.errors import ConvergenceError as ConvergenceError
    from mixedmodels.errors import ConvergenceWarning as ConvergenceWarning
    from mixedmodels.errors import DataError as DataError
    from mixedmodels.errors import DataWarning as DataWarning
    from mixedmodels.errors import FamilyError as FamilyError
    from mixedmodels.errors import FormulaError as FormulaError
    from mixedmodels.errors import FormulaWarning as FormulaWarning
    from mixedmodels.errors import IdentificationWarning as IdentificationWarning
    from mixedmodels.errors import MissingArgumentError as MissingArgumentError
    from mixedmodels.errors import MixedModelsError as MixedModelsError
    from mixedmodels.errors import MixedModelsWarning as MixedModelsWarning
    from mixedmodels.errors import NotAvailableError as NotAvailableError
    from mixedmodels.errors import UnknownArgumentError as UnknownArgumentError
    from mixedmodels.errors import UnknownNameError as UnknownNameError
    from mixedmodels.families import Gamma as Gamma
    from mixedmodels.families import beta as beta
    from mixedmodels.families import betabinomial as betabinomial
    from mixedmodels.families import binomial as binomial
    from mixedmodels.families import gaussian as gaussian
    from mixedmodels.families import inverse_gaussian as inverse_gaussian
    from mixedmodels.families import nbinom1 as nbinom1
    from mixedmodels.families import nbinom2 as nbinom2
    from mixedmodels.families import negative_binomial as negative_binomial
    from mixedmodels.families import poisson as poisson
    from mixedmodels.families import quasi as quasi
    from mixedmodels.families import quasibinomial as quasibinomial
    from mixedmodels.families import quasipoisson as quasipoisson
    from mixedmodels.families import truncated_nbinom1 as truncated_nbinom1
    from mixedmodels.families import truncated_nbinom2 as truncated_nbinom2
    from mixedmodels.families import truncated_poisson as truncated_poisson
    from mixedmodels.formula.design.model_terms import model_terms as model_terms
    from mixedmodels.formula.design.relationship import precision as precision
    from mixedmodels.gee import gee as gee
    from mixedmodels.glm import glm as glm
    from mixedmodels.glmer import glmer as glmer
    from mixedmodels.glmer import glmer_nb as glmer_nb
    from mixedmodels.gls import gls as gls
    from mixedmodels.inference.anova import Anova as Anova
    from mixedmodels.inference.anova import anova as anova
    from mixedmodels.inference.bootstrap import Bootstrap as Bootstrap
    from mixedmodels.inference.bootstrap import bootstrap as bootstrap
    from mixedmodels.inference.boundary_tests import boundary_p_value as boundary_p_value
    from mixedmodels.inference.compare import compare as compare
    from mixedmodels.inference.drop1 import drop1 as drop1
    from mixedmodels.inference.emmeans.means import emmeans as emmeans
    from mixedmodels.inference.emmeans.term_tests import joint_tests as joint_tests
    from mixedmodels.inference.emmeans.trends import emtrends as emtrends
    from mixedmodels.inference.exact_tests import ExactTest as ExactTest
    from mixedmodels.inference.exact_tests import exact_lrt as exact_lrt
    from mixedmodels.inference.exact_tests import exact_rlrt as exact_rlrt
    from mixedmodels.inference.gee.qic import qic as qic
    from mixedmodels.inference.hypotheses import hypotheses as hypotheses
    from mixedmodels.inference.kr_modcomp import kr_modcomp as kr_modcomp
    from mixedmodels.inference.linear_hypothesis import linear_hypothesis as linear_hypothesis
    from mixedmodels.inference.marginal_coefs import average_marginal_effects as average_marginal_effects
    from mixedmodels.inference.marginal_coefs import marginal_coefs as marginal_coefs
    from mixedmodels.inference.pb_modcomp import pb_modcomp as pb_modcomp
    from mixedmodels.inference.pool import pool as pool
    from mixedmodels.inference.profile.profile import profile as profile
    from mixedmodels.inference.ranova import ranova as ranova
    from mixedmodels.inference.refit_many import refit_many as refit_many
    from mixedmodels.inference.scores import estfun as estfun
    from mixedmodels.inference.scores import information as information
    from mixedmodels.lm import lm as lm
    from mixedmodels.lm_list import lm_list as lm_list
    from mixedmodels.lmer import lmer as lmer
    from mixedmodels.missing import NA as NA
    from mixedmodels.mmrm import mmrm as mmrm
    from mixedmodels.models.functions import AIC as AIC
    from mixedmodels.models.functions import BIC as BIC
    from mixedmodels.models.functions import REMLcrit as REMLcrit
    from mixedmodels.models.functions import VarCorr as VarCorr
    from mixedmodels.models.functions import aic as aic
    from mixedmodels.models.functions import bic as bic
    from mixedmodels.models.functions import coef as coef
    from mixedmodels.models.functions import confint as confint
    from mixedmodels.models.functions import convergence as convergence
    from mixedmodels.models.functions import cooks_distance as cooks_distance
    from mixedmodels.models.functions import deviance as deviance
    from mixedmodels.models.functions import df_residual as df_residual
    from mixedmodels.models.functions import family as family
    from mixedmodels.models.functions import fitted as fitted
    from mixedmodels.models.functions import fixef as fixef
    from mixedmodels.models.functions import formula as formula
    from mixedmodels.models.functions import getME as getME
    from mixedmodels.models.functions import hatvalues as hatvalues
    from mixedmodels.models.functions import is_singular as is_singular
    from mixedmodels.models.functions import isSingular as isSingular
    from mixedmodels.models.functions import logLik as logLik
    from mixedmodels.models.functions import loglik as loglik
    from mixedmodels.models.functions import model_frame as model_frame
    from mixedmodels.models.functions import model_matrix as model_matrix
    from mixedmodels.models.functions import ngrps as ngrps
    from mixedmodels.models.functions import nobs as nobs
    from mixedmodels.models.functions import predict as predict
    from mixedmodels.models.functions import ranef as ranef
    from mixedmodels.models.functions import refit as refit
    from mixedmodels.models.functions import refitML as refitML
    from mixedmodels.models.functions import resid as resid
    from mixedmodels.models.functions import residuals as residuals
    from mixedmodels.models.functions import rstandard as rstandard
    from mixedmodels.models.functions import rstudent as rstudent
    from mixedmodels.models.functions import sigma as sigma
    from mixedmodels.models.functions import summary as summary
    from mixedmodels.models.functions import terms as terms
    from mixedmodels.models.functions import theta as theta
    from mixedmodels.models.functions import vcov as vcov
    from mixedmodels.models.functions import weights as weights
    from mixedmodels.models.gee import GeeModel as GeeModel
    from mixedmodels.models.generalized import GeneralizedLinearMixedModel as GeneralizedLinearMixedModel
    from mixedmodels.models.glm import GeneralizedLinearModel as GeneralizedLinearModel
    from mixedmodels.models.linear import LinearMixedModel as LinearMixedModel
    from mixedmodels.models.lm import LinearModel as LinearModel
    from mixedmodels.models.lm_list import LmList as LmList
    from mixedmodels.models.nonlinear import NonlinearMixedModel as NonlinearMixedModel
    from mixedmodels.models.nonlinear_family import (
        GeneralizedNonlinearMixedModel as GeneralizedNonlinearMixedModel,
    )
    from mixedmodels.models.pql import QuasiLikelihoodMixedModel as QuasiLikelihoodMixedModel
    from mixedmodels.models.structured import GlsModel as GlsModel
    from mixedmodels.models.structured import MmrmModel as MmrmModel
    from mixedmodels.models.structured_mixed import StructuredLinearMixedModel as StructuredLinearMixedModel
    from mixedmodels.models.structured_nonlinear import (
        StructuredNonlinearMixedModel as StructuredNonlinearMixedModel,
    )
    from mixedmodels.moments import Moments as Moments
    from mixedmodels.moments import moments as moments
    from mixedmodels.nlmer import nlmer as nlmer
    from mixedmodels.plots.attenuation import plot_attenuation as plot_attenuation
    from mixedmodels.plots.binned_residuals import plot_binned_residuals as plot_binned_residuals
    from mixedmodels.plots.caterpillar import plot_ranef as plot_ranef
    from mixedmodels.plots.coefficients import plot_coefs as plot_coefs
    from mixedmodels.plots.convergence import plot_convergence as plot_convergence
    from mixedmodels.plots.curves import plot_fit as plot_fit
    from mixedmodels.plots.effects import plot_effects as plot_effects
    from mixedmodels.plots.group_fits import plot_groups as plot_groups
    from mixedmodels.plots.overview import plot as plot
    from mixedmodels.plots.profile_curves import plot_profile as plot_profile
    from mixedmodels.plots.profile_curves import plot_profile_density as plot_profile_density
    from mixedmodels.plots.profile_pairs import plot_profile_pairs as plot_profile_pairs
    from mixedmodels.plots.random_effects_pairs import plot_ranef_pairs as plot_ranef_pairs
    from mixedmodels.plots.random_effects_qq import plot_ranef_qq as plot_ranef_qq
    from mixedmodels.plots.residual_panels import plot_diagnostics as plot_diagnostics
    from mixedmodels.plots.residual_panels import plot_qq as plot_qq
    from mixedmodels.plots.residual_panels import plot_residuals as plot_residuals
    from mixedmodels.plots.residual_panels import plot_scale_location as plot_scale_location
    from mixedmodels.plots.scaled_residuals import plot_scaled_residuals as plot_scaled_residuals
    from mixedmodels.plots.serial_correlation import plot_acf as plot_acf
    from mixedmodels.plots.serial_correlation import plot_variogram as plot_variogram
    from mixedmodels.plots.shrinkage import plot_shrinkage as plot_shrinkage
    from mixedmodels.power.extend import extend as extend
    from mixedmodels.power.result import Power as Power
    from mixedmodels.power.result import PowerCurve as PowerCurve
    from mixedmodels.power.study import power as power
    from mixedmodels.power.study import power_curve as power_curve
    from mixedmodels.simulate import simulate as simulate
    from mixedmodels.specify import specify as specify
    from mixedmodels.sql.queries import moments_sql as moments_sql
    from mixedmodels.tidy.augment import augment as augment
    from mixedmodels.tidy.glance import glance as glance
    from mixedmodels.tidy.marginaleffects import marginaleffects_model as marginaleffects_model
    from mixedmodels.tidy.regression_table import regression_table as regression_table
    from mixedmodels.tidy.report import report as report
    from mixedmodels.tidy.tidy import tidy as tidy
    from mixedmodels.update import update as update
    from mixedmodels.versions import show_versions as show_versions

# Where each public name lives. It is imported when first used, so that importing the package costs nothing.
_HOMES = {
    "control": "GlmerControl LmerControl",
    "datasets": "list_datasets load_dataset",
    "diagnostics.influence": "Influence influence",
    "diagnostics.checks.check_model": "check_model",
    "diagnostics.checks.collinearity": "check_collinearity",
    "diagnostics.checks.convergence": "check_convergence",
    "diagnostics.checks.heteroscedasticity": "check_heteroscedasticity",
    "diagnostics.checks.normality": "check_normality",
    "diagnostics.checks.overdispersion": "check_overdispersion",
    "diagnostics.checks.singularity": "check_singularity",
    "diagnostics.checks.zero_inflation": "check_zero_inflation",
    "diagnostics.demean": "demean",
    "diagnostics.r2": "icc r2",
    "diagnostics.re_pca": "rePCA",
    "diagnostics.serial_correlation": "acf variogram",
    "diagnostics.scaled.result": "ScaledResiduals",
    "diagnostics.scaled_residuals": "scaled_residuals",
    "errors": (
        "ApproximationWarning ControlError ConvergenceError ConvergenceWarning DataError DataWarning "
        "FamilyError FormulaError FormulaWarning IdentificationWarning MissingArgumentError MixedModelsError "
        "MixedModelsWarning NotAvailableError UnknownArgumentError UnknownNameError"
    ),
    "families": (
        "Gamma beta betabinomial binomial gaussian inverse_gaussian nbinom1 nbinom2 "
        "negative_binomial poisson quasi quasibinomial quasipoisson truncated_nbinom1 "
        "truncated_nbinom2 truncated_poisson"
    ),
    "formula.design.model_terms": "model_terms",
    "formula.design.relationship": "precision",
    "gee": "gee",
    "glm": "glm",
    "glmer": "glmer glmer_nb",
    "gls": "gls",
    "lm": "lm",
    "lm_list": "lm_list",
    "mmrm": "mmrm",
    "lmer": "lmer",
    "missing": "NA",
    "inference.anova": "Anova anova",
    "inference.compare": "compare",
    "inference.bootstrap": "Bootstrap bootstrap",
    "inference.drop1": "drop1",
    "inference.kr_modcomp": "kr_modcomp",
    "inference.emmeans.means": "emmeans",
    "inference.emmeans.term_tests": "joint_tests",
    "inference.emmeans.trends": "emtrends",
    "inference.marginal_coefs": "average_marginal_effects marginal_coefs",
    "inference.profile.profile": "profile",
    "inference.scores": "estfun information",
    "inference.gee.qic": "qic",
    "inference.hypotheses": "hypotheses",
    "inference.linear_hypothesis": "linear_hypothesis",
    "inference.ranova": "ranova",
    "inference.exact_tests": "ExactTest exact_lrt exact_rlrt",
    "inference.boundary_tests": "boundary_p_value",
    "inference.pb_modcomp": "pb_modcomp",
    "inference.pool": "pool",
    "inference.refit_many": "refit_many",
    "moments": "Moments moments",
    "sql.queries": "moments_sql",
    "models.functions": (
        "AIC BIC REMLcrit VarCorr aic bic coef confint convergence cooks_distance deviance df_residual "
        "family fitted fixef formula getME hatvalues isSingular is_singular logLik "
        "loglik model_frame model_matrix ngrps nobs predict ranef refit refitML "
        "resid residuals rstandard rstudent sigma summary terms theta vcov weights"
    ),
    "models.gee": "GeeModel",
    "models.generalized": "GeneralizedLinearMixedModel",
    "models.linear": "LinearMixedModel",
    "models.glm": "GeneralizedLinearModel",
    "models.lm": "LinearModel",
    "models.lm_list": "LmList",
    "models.nonlinear": "NonlinearMixedModel",
    "models.nonlinear_family": "GeneralizedNonlinearMixedModel",
    "models.pql": "QuasiLikelihoodMixedModel",
    "models.structured": "GlsModel MmrmModel",
    "models.structured_mixed": "StructuredLinearMixedModel",
    "models.structured_nonlinear": "StructuredNonlinearMixedModel",
    "power.extend": "extend",
    "power.result": "Power PowerCurve",
    "power.study": "power power_curve",
    "simulate": "simulate",
    "specify": "specify",
    "nlmer": "nlmer",
    "plots.attenuation": "plot_attenuation",
    "plots.binned_residuals": "plot_binned_residuals",
    "plots.caterpillar": "plot_ranef",
    "plots.coefficients": "plot_coefs",
    "plots.convergence": "plot_convergence",
    "plots.curves": "plot_fit",
    "plots.effects": "plot_effects",
    "plots.group_fits": "plot_groups",
    "plots.overview": "plot",
    "plots.profile_curves": "plot_profile plot_profile_density",
    "plots.profile_pairs": "plot_profile_pairs",
    "plots.random_effects_pairs": "plot_ranef_pairs",
    "plots.random_effects_qq": "plot_ranef_qq",
    "plots.residual_panels": "plot_diagnostics plot_qq plot_residuals plot_scale_location",
    "plots.scaled_residuals": "plot_scaled_residuals",
    "plots.serial_correlation": "plot_acf plot_variogram",
    "plots.shrinkage": "plot_shrinkage",
    "tidy.augment": "augment",
    "tidy.glance": "glance",
    "tidy.marginaleffects": "marginaleffects_model",
    "tidy.regression_table": "regression_table",
    "tidy.report": "report",
    "tidy.tidy": "tidy",
    "update": "update",
    "versions": "show_versions",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME_OF)


def _version() -> str:
    """Return the version that is installed."""
    return str(importlib.import_module("mixedmodels.version").version())


def _no_such_name(name: str) -> AttributeError:
    """Return the error for a name the package does not have, with what to write in its place."""
    # `from mixedmodels import module` asks for the name first, and only then imports the module.
    if name.startswith("_") or (name.isidentifier() and find_spec(f"{__name__}.{name}") is not None):
        return AttributeError(f"module 'mixedmodels' has no attribute {name!r}")
    advice = importlib.import_module("mixedmodels.advice")
    datasets = importlib.import_module("mixedmodels.datasets").list_datasets()["name"]
    error: AttributeError = advice.unknown_in_package(name, __all__, datasets.tolist())
    return error


def _imported(name: str) -> ModuleType:
    """Import a module without looking for garbage meanwhile.

    What an import makes stays, and to go through all that NumPy, SciPy and pandas have made takes longer.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if collects:
            gc.enable()


class _Package(ModuleType):
    """The package: ``lmer`` in it is the function, not the module of that name."""

    def __getattr__(self, name: str) -> Any:
        """Import a public name when it is first used."""
        if name == "__version__":
            return _version()
        if name not in _HOME_OF:
            raise _no_such_name(name)
        value = getattr(_imported(f"mixedmodels.{_HOME_OF[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        """Bind a name, but no module over a function: importing mixedmodels.lmer would do that to lmer."""
        if not (isinstance(value, ModuleType) and name in _HOME_OF):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """List the public names, imported or not."""
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
