"""Which groups or rows the estimates depend on: the model estimated without each of them in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import NO_ROWS, AbsentRows
from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.control import one_of, whole_number
from mixedmodels.diagnostics.deletions import CovarianceMethod, Deleter, Deletion, Method
from mixedmodels.diagnostics.influence_measures import covariance_ratios, covariance_traces, quadratic_forms
from mixedmodels.errors import ControlError, ConvergenceWarning, NotAvailableError, listed, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.formula.design.theta import theta_names
from mixedmodels.inference.clusters import Clusters, rows_by
from mixedmodels.inference.covariance_parameters import variance_names, variances
from mixedmodels.inference.refits import FAILED
from mixedmodels.parallel import in_order, number_of_jobs
from mixedmodels.progress import Progress
from mixedmodels.reports.influence_text import influence_text
from mixedmodels.reports.page import html_of

#: Deletions of one piece of work.
PIECE = 20
#: Rows of the printed table.
SHOWN = 6
Convention = Literal["lme4", "HLMdiag"]
Measure = Literal["cooks_distance", "mdffits", "covtrace", "covratio"]


class Influence:
    """A model estimated without each group, or each row: what :func:`mixedmodels.influence` returns.

    Tables have one row for each deletion, under the label of the group or row.

    Attributes
    ----------
    groups : str
        What was left out; empty for rows.
    method : {"exact", "one-step"}
        How the estimates were found.
    labels : tuple
        What was left out in each deletion.
    n_rows : ndarray of int, shape (R,)
        Rows left out in each.
    full : Deletion
        Estimates from all rows.
    deletions : tuple of Deletion
        Estimates of each deletion.
    """

    def __init__(
        self, fit: Fit, clusters: Clusters, method: Method, full: Deletion, deletions: Sequence[Deletion]
    ) -> None:
        self.groups, self.method, self.labels = clusters.name, method, clusters.labels
        self.n_rows: IntArray = np.bincount(clusters.codes, minlength=clusters.size)
        self.full, self.deletions = full, tuple(deletions)
        self._formula, self._terms, self._x_names = fit.formula(), fit.random, fit.design.x_names
        family = fit.family()
        self._has_sigma = family is None
        self._phi_names = () if family is None or not len(fit.phi) else tuple(family.phi_names)

    # Estimates.

    def fixef(self) -> pd.DataFrame:
        """Return the fixed effects of each deletion; NaN where the other rows do not determine one."""
        return self._table(self._beta, self._x_names)

    def theta(self) -> pd.DataFrame:
        """Return the covariance parameters theta of each deletion."""
        return self._table(self._stacked("theta"), theta_names(self._terms))

    def sigma(self) -> pd.Series:
        """Return the residual standard deviation of each deletion."""
        return pd.Series(self._sigma, index=self._index, name="sigma")

    def varcomp(self) -> pd.DataFrame:
        """Return variances and covariances of each deletion, and the parameters of the family."""
        return self._table(self._components(self.deletions), self._component_names)

    def vcov(self, label: Any) -> pd.DataFrame:
        """Return the covariance of the fixed effects of the deletion of a group or row.

        Raises
        ------
        ControlError
            If there is no such group or row.
        """
        if label not in self.labels:
            raise ControlError(f"nothing was left out under the label {shown(label)}.")
        names = list(self._x_names)
        return pd.DataFrame(self.deletions[self.labels.index(label)].vcov, index=names, columns=names)

    # Measures.

    def dfbeta(self) -> pd.DataFrame:
        """Return the fixed effects of each deletion minus those of all rows, as lme4."""
        return self._table(self._moves, self._x_names)

    def dfbetas(self) -> pd.DataFrame:
        """Return ``dfbeta`` over the standard errors of the deletion, as lme4."""
        errors = np.sqrt(np.diagonal(self._vcov, axis1=1, axis2=2))
        return self._table(self._moves / errors, self._x_names)

    def cooks_distance(self, convention: Convention = "lme4") -> pd.Series:
        """Return Cook's distance of each deletion, ``dfbeta' V^-1 dfbeta / p`` with V of all rows.

        Parameters
        ----------
        convention : {"lme4", "HLMdiag"}
            Whether to multiply by ``(R - p) / R`` for R deletions, as lme4, or not, as HLMdiag, influence.ME
            and the definition.

        Raises
        ------
        ControlError
            If `convention` is neither.
        """
        one_of("convention", convention, get_args(Convention))
        R, p = self._moves.shape
        factor = (R - p) / R if convention == "lme4" else 1.0
        return self._column(factor * quadratic_forms(self._moves, self.full.vcov), "cooks_distance")

    def mdffits(self) -> pd.Series:
        """Return MDFFITS of each deletion, ``dfbeta' V^-1 dfbeta / p`` with V of the deletion."""
        return self._column(quadratic_forms(self._moves, self._vcov), "mdffits")

    def covratio(self) -> pd.Series:
        """Return the ratio of the determinants of the covariances of the fixed effects, deletion over all."""
        return self._column(covariance_ratios(self.full.vcov, self._vcov), "covratio")

    def covtrace(self) -> pd.Series:
        """Return ``|trace(V^-1 V_deletion) - p|``, zero where the precision is that of all rows."""
        return self._column(covariance_traces(self.full.vcov, self._vcov), "covtrace")

    def rvc(self) -> pd.DataFrame:
        """Return the relative change of variances, covariances and family parameters, deletion / all - 1.

        NaN where one of all rows is zero.
        """
        full = self._components([self.full])
        full = np.where(full == 0.0, np.nan, full)
        return self._table(self._components(self.deletions) / full - 1.0, self._component_names)

    def to_frame(self) -> pd.DataFrame:
        """Return rows left out, all measures, dfbetas by fixed effect, and the verdict of each deletion."""
        dfbetas = self.dfbetas().add_prefix("dfbetas_")
        rows = self._column(self.n_rows, "n")
        measures = [getattr(self, name)() for name in get_args(Measure)]
        table: pd.DataFrame = pd.concat([rows, *measures, dfbetas, self.verdict], axis=1)
        return table

    def largest(self, n: int = SHOWN, by: Measure = "cooks_distance") -> pd.DataFrame:
        """Return the rows of ``to_frame()`` with the largest values of a measure.

        Parameters
        ----------
        n : int
            How many.
        by : {"cooks_distance", "mdffits", "covtrace", "covratio"}
            Which measure; the ratio by its distance from 1, on the logarithmic scale.

        Raises
        ------
        ControlError
            If `by` is none of these, or `n` no number of rows.
        """
        one_of("by", by, get_args(Measure))
        table = self.to_frame()
        size = np.abs(np.log(table[by])) if by == "covratio" else table[by]
        order = np.argsort(-size.to_numpy(), kind="stable")
        return table.iloc[order[: whole_number("n", n, 1)]]

    # How the searches ended.

    @property
    def verdict(self) -> pd.Series:
        """Verdict on each deletion, ``"failed"`` where it could not be fitted."""
        return pd.Series([d.verdict for d in self.deletions], index=self._index, name="verdict")

    @property
    def reasons(self) -> dict[Any, str]:
        """By label, why a deletion could not be fitted or has no unique optimum."""
        return {label: d.reason for label, d in zip(self.labels, self.deletions, strict=True) if d.reason}

    @property
    def failed(self) -> tuple[Any, ...]:
        """Labels of the deletions that could not be fitted, whose estimates are NaN."""
        return self._where([d.verdict == FAILED for d in self.deletions])

    @property
    def undetermined(self) -> dict[Any, tuple[str, ...]]:
        """By label, fixed effects that the other rows do not determine."""
        missing = np.isnan(self._beta)
        return {
            label: tuple(np.array(self._x_names)[missing[r]].tolist())
            for r, label in enumerate(self.labels)
            if missing[r].any() and self.deletions[r].verdict != FAILED
        }

    def _where(self, flags: Sequence[bool]) -> tuple[Any, ...]:
        return tuple(label for label, flag in zip(self.labels, flags, strict=True) if flag)

    def notes(self) -> tuple[str, ...]:
        """Return what is to be known of deletions without estimates, one sentence each."""
        notes = []
        if self.failed:
            notes.append(
                f"{len(self.failed)} of {len(self.labels)} could not be fitted: {_names(self.failed)}."
            )
        stopped = tuple(label for label in self.reasons if label not in self.failed)
        if stopped:
            notes.append(
                f"{len(stopped)} of {len(self.labels)} have no unique optimum, or did not come to it: "
                f"{_names(stopped)}."
            )
        if self.undetermined:
            lost = [f"{label} ({', '.join(names)})" for label, names in self.undetermined.items()]
            notes.append(f"{len(lost)} of {len(self.labels)} are needed for fixed effects: {_names(lost)}.")
        return tuple(notes)

    # Text.

    def __repr__(self) -> str:
        what = f"levels of {self.groups}" if self.groups else "rows"
        title = f"Influence of {len(self.labels)} {what}, {self.method} deletion"
        return influence_text(title, self._formula, self._shown(), self.notes())

    def _repr_html_(self) -> str:
        return html_of(repr(self))

    def _shown(self) -> pd.DataFrame:
        """Return the largest deletions with their measures."""
        return self.largest().drop(columns="verdict")

    # Arrays.

    @property
    def _beta(self) -> FloatArray:
        return self._stacked("beta")

    @property
    def _moves(self) -> FloatArray:
        return self._beta - self.full.beta

    @property
    def _vcov(self) -> FloatArray:
        return self._stacked("vcov")

    @property
    def _sigma(self) -> FloatArray:
        return self._stacked("sigma")

    def _stacked(self, name: str) -> FloatArray:
        return np.array([getattr(deletion, name) for deletion in self.deletions])

    @property
    def _component_names(self) -> tuple[str, ...]:
        return (*variance_names(self._terms), *(["sigma^2"] if self._has_sigma else []), *self._phi_names)

    def _components(self, deletions: Sequence[Deletion]) -> FloatArray:
        """Return variances, covariances and family parameters of deletions, one row each."""
        theta, phi = np.array([d.theta for d in deletions]), np.array([d.phi for d in deletions])
        sigma = np.array([d.sigma for d in deletions])
        scale = sigma if self._has_sigma else np.ones(len(sigma))
        parts = [variances(self._terms, theta, scale), *([sigma[:, None] ** 2] if self._has_sigma else [])]
        return np.column_stack([*parts, phi])

    @property
    def _index(self) -> pd.Index[Any]:
        index: pd.Index[Any] = pd.Index(self.labels, name=self.groups or None)
        return index

    def _table(self, values: FloatArray, names: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(values, index=self._index, columns=list(names))

    def _column(self, values: Any, name: str) -> pd.Series:
        return pd.Series(values, index=self._index, name=name)


def _names(labels: Sequence[Any]) -> str:
    return listed([str(label) for label in labels])


@advises
def influence(
    model: Fit,
    groups: Any = None,
    *,
    method: Method = "exact",
    vcov: CovarianceMethod | None = None,
    n_jobs: int = 1,
    progress: bool | None = None,
) -> Influence:
    """Estimate a model without each group of rows, or each row, in turn.

    Parameters
    ----------
    model : fitted model
        The model.
    groups : str, list of str or array_like, optional
        A grouping factor or a column of the data, combinations of several (``["a", "b"]`` or ``"a:b"``), or a
        value for each row used. By default each row is left out by itself.
    method : {"exact", "one-step"}
        Refits, from the estimates of all rows on; or one Newton step from there, without a search (of models
        fitted by ``lmer()`` and ``glmer()``; of ``gee()`` that of Preisser & Qaqish (1996), scale and working
        correlation as they are).
    vcov : {"hessian", "rx"}, optional
        Covariance of the fixed effects of a generalized mixed model: that of its summary, or the one that
        takes the covariance parameters as known, which is all that one step has. By default the former of
        refits. Linear models have one.
    n_jobs : int
        Processes; -1 is one for each processor.
    progress : bool, optional
        Whether to draw a bar; by default where tqdm is installed and a terminal or notebook is there.

    Returns
    -------
    Influence
        Tables of the estimates and of the measures of their change: ``dfbeta()``, ``dfbetas()``,
        ``cooks_distance()``, ``mdffits()``, ``covratio()``, ``covtrace()``, ``rvc()``, ``to_frame()``.

    Raises
    ------
    ControlError
        If there are no such groups, or an option is unknown.
    DataError
        If `groups` does not fit the rows.
    NotAvailableError
        If one step is asked for of a model that has none.

    Notes
    -----
    Columns of the model matrix that depend on all rows, as of ``poly(x, 2)`` and ``scale(x)``, stay as they
    are, so that the coefficients of all deletions mean the same; R computes them afresh.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> without = mm.influence(m, "Subject")
    >>> without.cooks_distance().round(3).nlargest(2).to_dict()
    {'309': 0.132, '335': 0.115}
    """
    if isinstance(model, Fit):
        refuse_nonlinear(model, "influence()")
        np.asarray(model.prior_weights)  # which says so where the rows were summed and are not held
    if not isinstance(model, Fit):
        raise ControlError(f"influence() needs a fitted model, not {shown(model)}.")
    one_of("method", method, get_args(Method))
    one_of("vcov", vcov, (None, *get_args(CovarianceMethod)))
    if method == "one-step" and vcov == "hessian":
        raise ControlError("one step gives no Hessian: write vcov='rx', or method='exact'.")
    jobs = number_of_jobs(n_jobs)
    if isinstance(model.design.response.values, AbsentRows):
        raise NotAvailableError(f"influence(): {NO_ROWS}")
    clusters = rows_by(model, groups)
    deleter = Deleter(model, method, vcov or ("hessian" if method == "exact" else "rx"))
    found = Influence(model, clusters, method, deleter.full(), _deletions(deleter, clusters, jobs, progress))
    if found.notes():
        warn(
            f"influence(): {' '.join(found.notes())} Their estimates are NaN or in doubt.", ConvergenceWarning
        )
    return found


def _deletions(deleter: Deleter, clusters: Clusters, jobs: int, progress: bool | None) -> list[Deletion]:
    rows = clusters.rows()
    pieces = [rows[first : first + PIECE] for first in range(0, len(rows), PIECE)]
    deletions: list[Deletion] = []
    with Progress(len(rows), progress, "delete") as bar:
        for part in in_order(deleter.each, pieces, jobs):
            deletions += part
            bar.add(len(part))
    return deletions
