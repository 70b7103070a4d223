"""The marginal model, as fitted by ``gee``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.term_covariance import covariance_to_correlation
from mixedmodels.engines.gee.correlation.read import GroupNames, working_correlation
from mixedmodels.engines.gee.correlation.structure import WorkingCorrelation
from mixedmodels.engines.gee.covariance import gee_scores
from mixedmodels.engines.gee.estimates import GeeEstimates, GeeSolution
from mixedmodels.engines.gee.fit import solve_gee
from mixedmodels.engines.gee.problem import GeeProblem, gee_problem
from mixedmodels.engines.gee.verdict import OutsideRange
from mixedmodels.engines.glm.fit import maximize
from mixedmodels.errors import ControlError, ConvergenceError
from mixedmodels.families import initialize
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.gee import GeeFit, GeeOptions
from mixedmodels.fits.new_response import new_response
from mixedmodels.formula.design.design import Design
from mixedmodels.inference import wald
from mixedmodels.inference.fixed_effects import Ddf
from mixedmodels.inference.gee.association import Derivatives, association, working_matrix
from mixedmodels.inference.gee.covariance import covariance_matrix, gee_covariance
from mixedmodels.inference.gee.qic import qic
from mixedmodels.inference.summary import Summary
from mixedmodels.models.fixed_effects_model import FixedEffectsModel
from mixedmodels.reports.family_text import family_label
from mixedmodels.reports.fit_text import FitDescription
from mixedmodels.reports.gee_text import GeeDescription, gee_print_text, gee_summary_text

#: Columns of the summary, as geepack names them.
COLUMNS = ("Estimate", "Std.err", "Wald", "Pr(>|W|)")
#: Correlations that an error lists.
MOST_SHOWN = 6


class GeeModel(FixedEffectsModel, GeeFit):
    """A fitted marginal model: generalized estimating equations.

    Made by :func:`mixedmodels.gee`.

    Parameters
    ----------
    design : Design
        Arrays of the model.
    y, prior_weights : ndarray, shape (n,)
        Response and weights as the family reads them.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    family : Family
        Link and variance function.
    estimates : GeeEstimates
        The fit.
    correlation : WorkingCorrelation
        How rows of a group are taken to be correlated.
    options : GeeOptions
        Working correlation, scale and kind of standard errors as they were asked for.
    """

    @classmethod
    def fitted_to(
        cls,
        design: Design,
        y: FloatArray,
        weights: FloatArray,
        call: Call,
        data: Any,
        family: Family,
        options: GeeOptions,
        beta: FloatArray,
    ) -> GeeModel:
        """Solve the estimating equations, beginning at `beta`.

        Raises
        ------
        ControlError, DataError
            If the groups cannot have the working correlation.
        ConvergenceError
            If its moment estimates are no correlation matrix.
        """
        groups = design.residual
        assert groups is not None
        problem = gee_problem(y, weights, design.X, design.offset, family, groups.codes, groups.positions)
        names = GroupNames(groups.group_name, groups.groups, groups.time_name, groups.levels)
        correlation = working_correlation(options.corr, problem, names)
        solution = _solved(problem, correlation, names, beta, options.scale)
        eta = design.X @ solution.beta + (0.0 if design.offset is None else design.offset)
        robust = gee_scores(problem, correlation, solution).robust()
        estimates = GeeEstimates(solution, eta, family.link.inverse(eta), robust)
        model = cls(design, y, weights, call, data, family, estimates, correlation, options)
        if options.cov_type != "robust":
            vcov = covariance_matrix(model, options.cov_type)
            model.estimates = replace(estimates, vcov=vcov)
        return model

    # Related fits.

    def refit(self, newresp: Any) -> GeeModel:
        """Fit the same model to another response.

        Raises
        ------
        DataError, FamilyError
            If the length is wrong or a value is outside the range of the family.
        """
        response = new_response(newresp, self.design)
        y, weights = initialize(response, self.design.weights, self._family)
        return self.with_rows(self.design, y, weights)

    def refitML(self) -> GeeModel:
        """Return the model itself."""
        return self

    def with_design(self, design: Design) -> GeeModel:
        """Fit the same kind of model to another design with the same response."""
        return self.with_rows(design, self.y, self.prior_weights)

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> GeeModel:
        """Fit the same kind of model to other rows."""
        offset = np.zeros(len(y)) if design.offset is None else design.offset
        start, _, _ = maximize(y, prior_weights, design.X, offset, self._family)
        return GeeModel.fitted_to(
            design, y, prior_weights, self.call, self.data, self._family, self.options, start.beta
        )

    # What is said of it.

    def vcov(self, type: Any = None, cluster: Any = None) -> pd.DataFrame:
        """Return a covariance matrix of the coefficients.

        Parameters
        ----------
        type : str, optional
            By default the `cov_type` of the fit. ``"robust"`` is the sandwich, ``"naive"`` holds where the
            working correlation is right; ``"kauermann-carroll"``, ``"mancl-derouen"`` and ``"fay-graubard"``
            correct the sandwich for few groups; ``"one-step jackknife"`` and ``"jackknife"`` leave out each
            group. CR0, CR1, CR1p, CR2 and CR3 are names of such covariances of other models.
        cluster : None
            There is no other cluster than the groups of the fit.

        Returns
        -------
        DataFrame, shape (p, p)
            By name of coefficient.

        Raises
        ------
        ControlError
            If there is no such type, or `cluster` is given.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.gee("resp ~ smoke", mm.load_dataset("ohio"), groups="id", family="binomial")
        >>> round(float(m.vcov("mancl-derouen").loc["smoke", "smoke"]), 4)
        0.0318
        """
        if cluster is not None:
            raise ControlError(
                f"the clusters of a marginal model are its groups, here {self.groups.group_name}: leave out "
                "cluster=, or fit with other groups."
            )
        return self._labelled(self._fixed_covariance()) if type is None else gee_covariance(self, type)

    def association(self, derivatives: Derivatives = "exact") -> pd.DataFrame:
        """Return the working correlation and the scale, with standard errors.

        Parameters
        ----------
        derivatives : {"exact", "geepack"}
            Derivatives of their estimating equations in the coefficients, by which the standard errors allow
            for these. ``"geepack"`` takes those of geepack 1.3.9, which are others and give other standard
            errors; estimates are the same.

        Returns
        -------
        DataFrame
            Columns Estimate and Std.err; rows by parameter, the scale "phi" last.

        Raises
        ------
        ControlError
            If `derivatives` is none of these.

        References
        ----------
        Yan & Fine (2004), Statist. Med. 23, 859-874.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> data = mm.load_dataset("ohio")
        >>> m = mm.gee("resp ~ smoke", data, groups="id", family="binomial", corr="exchangeable")
        >>> m.association()["Estimate"].round(4).to_dict()
        {'alpha': 0.3513, 'phi': 1.0}
        """
        return association(self, derivatives)

    def working_correlation(self) -> pd.DataFrame:
        """Return the working correlation matrix of a group that has all times.

        Returns
        -------
        DataFrame
            By time, or number of the row; NaN where no group has both times.
        """
        return working_matrix(self)

    def qic(self) -> pd.Series[float]:
        """Return the quasi-likelihood information criteria; see :func:`mixedmodels.qic`."""
        return qic(self).iloc[0].rename("qic")

    def summary(
        self, correlation: bool | None = None, ddf: Ddf | None = "default", vcov: Any = None
    ) -> Summary:
        """Summarise the fit in the layout of geepack.

        Parameters
        ----------
        correlation : bool, optional
            Not used by this text.
        ddf : {"default", "z", "residual", "satterthwaite"}
            By default Wald's chi-square tests, as geepack. ``"residual"`` gives t tests with the number of
            groups less that of coefficients, ``"satterthwaite"`` with degrees of freedom that allow for what
            a sandwich covariance is estimated from: both are for few groups.
        vcov : str or array of shape (p, p), optional
            Another covariance, as :meth:`vcov` has them.

        Returns
        -------
        Summary
            Prints itself; `coefficients` is its table.

        Raises
        ------
        ControlError
            If `ddf` or `vcov` is none of these.
        NotAvailableError
            If the method is for other models.

        Examples
        --------
        >>> import mixedmodels as mm
        >>> m = mm.gee("resp ~ smoke", mm.load_dataset("ohio"), groups="id", family="binomial")
        >>> m.summary(vcov="mancl-derouen", ddf="residual").coefficients.loc["smoke"].round(3).to_dict()
        {'Estimate': 0.272, 'Std. Error': 0.178, 'df': 535.0, 't value': 1.522, 'Pr(>|t|)': 0.129}
        """
        found = super().summary(correlation, ddf, vcov)
        if vcov is None or not isinstance(found, GeeSummary):
            return found
        kind = vcov if isinstance(vcov, str) else "of a covariance that was given"
        return replace(found, gee=replace(found.gee, covariance=kind))

    # Text.

    def _coefficient_table(self) -> pd.DataFrame:
        table = wald.wald_table(self.beta, self._standard_errors())
        table[:, 2] = table[:, 2] ** 2
        return pd.DataFrame(table, index=list(self.design.x_names), columns=list(COLUMNS))

    def _plain_summary(self, correlation: bool | None) -> GeeSummary:
        return GeeSummary(
            description=self._describe(),
            coefficients=self._coefficient_table(),
            fixed_correlation=covariance_to_correlation(self._fixed_covariance()),
            scaled_residuals=self._raw_residuals("pearson") / self.sigma(),
            show_correlation=correlation,
            gee=self._gee_description(with_errors=True),
        )

    def __repr__(self) -> str:
        return gee_print_text(self._gee_description(with_errors=False), self.beta)

    def _gee_description(self, with_errors: bool) -> GeeDescription:
        alpha, phi = self.solution.alpha, self.solution.phi
        values = np.column_stack([[*alpha, phi], np.full(len(alpha) + 1, np.nan)])
        if with_errors:
            values = self.association().to_numpy(dtype=np.float64)
        report = self.convergence()
        trouble = () if report.is_optimum else (f"{report.verdict}:", *report.reasons)
        return GeeDescription(
            call=self._call_text(),
            names=self.design.x_names,
            covariance=self.cov_type,
            corr=self.correlation.name,
            labels=self.correlation.labels,
            association=values,
            scale_is_fixed=self.fixed_scale is not None,
            n_groups=self.n_groups,
            largest=int(self.problem.sizes.max()),
            notes=self._notes(),
            warnings=(*self._fit_warnings(), *trouble),
        )

    def _describe(self) -> FitDescription:
        report = self.convergence()
        return FitDescription(
            title="Marginal model fit by generalized estimating equations",
            class_name="geeglm",
            formula=self.formula(),
            criteria={},
            terms=(),
            residual_sd=None,
            nobs=self.nobs(),
            ngrps={self.groups.group_name: self.n_groups},
            family=(family_label(self._family, self.phi), self._family.link.name),
            call=self.call.lines(),
            notes=self._notes(),
            warnings=self._fit_warnings(),
            optimizer="estimating equations",
            messages=() if report.is_optimum else report.reasons,
            converged=report.is_optimum,
        )

    def _call_text(self) -> str:
        call, family = self.call, self._family
        corr = self.options.corr if isinstance(self.options.corr, str) else "<matrix>"
        given = (
            ("formula", self.formula()),
            ("data", call.data),
            ("groups", self.groups.group_name),
            ("family", f"{family.name}({family.link.name})"),
            ("corr", corr),
            ("time", self.groups.time_name or None),
            ("weights", call.weights),
            ("offset", call.offset),
            ("subset", call.subset),
            ("scale", None if self.fixed_scale is None else f"{self.fixed_scale:g}"),
        )
        return f"gee({', '.join(f'{name} = {text}' for name, text in given if text is not None)})"


@dataclass(frozen=True, slots=True, repr=False)
class GeeSummary(Summary):
    """Summary of a marginal model; printing it gives a text in the layout of geepack's.

    Attributes
    ----------
    gee : GeeDescription
        Working correlation, scale and sizes.
    """

    gee: GeeDescription = field(kw_only=True)

    def __repr__(self) -> str:
        columns = list(self.coefficients.columns)
        return gee_summary_text(self.gee, self.coefficients.to_numpy(), columns, self.tests)


def _solved(
    problem: GeeProblem,
    correlation: WorkingCorrelation,
    names: GroupNames,
    beta: FloatArray,
    scale: float | None,
) -> GeeSolution:
    """Return the solution of the estimating equations.

    Raises
    ------
    ConvergenceError
        If the moment estimates of the working correlation are no correlation matrix; a group is named.
    """
    try:
        return solve_gee(problem, correlation, beta, scale)
    except OutsideRange as error:
        group, size = names.groups[problem.grouping.codes[error.group]], int(problem.sizes[error.group])
        shown = ", ".join(f"{value:.3g}" for value in error.alpha[:MOST_SHOWN].tolist())
        more = ", ..." if len(error.alpha) > MOST_SHOWN else ""
        raise ConvergenceError(
            f"the estimates of corr={correlation.name!r} ({shown}{more}) are no correlations that the {size} "
            f"rows of {names.group} {group} can have: their matrix is not positive definite. Take a "
            "structure with fewer parameters, or 'independence', whose robust standard errors hold as well."
        ) from None
