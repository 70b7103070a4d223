"""Linear models of separate groups, as fitted by ``lm_list``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mixedmodels.arrays import FloatArray
from mixedmodels.control import true_or_false
from mixedmodels.errors import DataError
from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.formula.design.new_data import fixed_matrix, random_matrices
from mixedmodels.inference.wald import check_level
from mixedmodels.models.lm import LinearModel
from mixedmodels.reports.numbers import format_numbers, percent_names
from mixedmodels.reports.page import Page, html_of
from mixedmodels.reports.printed_frame import PrintedFrame
from mixedmodels.reports.text_tables import text_matrix


class GroupTable(PrintedFrame):
    """A DataFrame by coefficient and group, which prints a block for each coefficient, as lme4 does."""

    def __repr__(self) -> str:
        lines: list[str] = []
        for name in self.index.get_level_values(0).unique():
            block = self.loc[name]
            cells = zip(*(format_numbers(block[column].to_numpy()) for column in block), strict=True)
            rows = list(map(str, block.index))
            lines += [f"   {name}", text_matrix(list(cells), rows, list(block.columns), right=True)]
        return Page(lines)


class LmList(Mapping[str, LinearModel]):
    """Linear models of separate groups, by name of the group.

    Made by :func:`mixedmodels.lm_list`. ``fits["308"]`` is the model of one group, as :func:`mixedmodels.lm`
    would fit it.

    Parameters
    ----------
    formula : str
        As it was asked for.
    design : Design
        Arrays of all groups, the grouping factor as a random-effects term.
    fits : mapping
        Name of the group -> its model.
    pool : bool
        Whether groups have one residual standard deviation.
    """

    def __init__(self, formula: str, design: Design, fits: Mapping[str, LinearModel], pool: bool) -> None:
        self._formula = formula
        self.design = design
        self.pool = pool
        self._fits = dict(fits)

    def __getitem__(self, group: str) -> LinearModel:
        return self._fits[group]

    def __iter__(self) -> Any:
        return iter(self._fits)

    def __len__(self) -> int:
        return len(self._fits)

    def __contains__(self, group: object) -> bool:
        return group in self._fits

    @property
    def _grouping(self) -> RandomTerm:
        return self.design.random[0]

    def formula(self) -> str:
        """Return the formula, ``"y ~ x | g"``."""
        return self._formula

    def nobs(self) -> int:
        """Return the number of rows."""
        return self.design.n_rows

    def coef(self) -> pd.DataFrame:
        """Return the coefficients, a row for each group; NaN where its rows do not determine one."""
        return self._by_group({name: fit.fixef() for name, fit in self.items()})

    def fixef(self) -> pd.Series[float]:
        """Return the mean of each coefficient over the groups that determine it."""
        return self.coef().mean()

    def ranef(self) -> pd.DataFrame:
        """Return the coefficients less their means."""
        return self.coef() - self.fixef()

    def df_residual(self) -> int:
        """Return the residual degrees of freedom of all groups together."""
        return sum(fit.df_residual() for fit in self.values())

    def sigma(self) -> float:
        """Return the pooled residual standard deviation, on ``df_residual()`` degrees of freedom."""
        left = self.df_residual()
        return float(np.sqrt(self._rss() / left)) if left else float("nan")

    def _rss(self) -> float:
        return sum(fit.estimates.rss for fit in self.values())

    def loglik(self) -> float:
        """Return the log-likelihood: of one residual variance if pooled, else the sum over groups."""
        if not self.pool:
            return sum(fit.loglik() for fit in self.values())
        weights = self.design.weights
        positive = np.ones(self.nobs()) if weights is None else weights[weights > 0.0]
        n = len(positive)
        return float(0.5 * np.log(positive).sum() - 0.5 * n * (1.0 + np.log(2.0 * np.pi * self._rss() / n)))

    def standard_errors(self, pool: bool | None = None) -> pd.DataFrame:
        """Return the standard errors of the coefficients, a row for each group.

        Parameters
        ----------
        pool : bool, optional
            Whether from the residual standard deviation of all groups or of each; by default as fitted.
        """
        pooled, sigma = self._pools(pool), self.sigma()
        found = {}
        for name, fit in self.items():
            scale = sigma if pooled else fit.sigma()
            found[name] = pd.Series(
                scale * np.sqrt(np.diag(fit.estimates.unscaled_vcov)), index=list(fit.design.x_names)
            )
        return self._by_group(found)

    def summary(self, pool: bool | None = None) -> GroupTable:
        """Return estimates, standard errors and t tests, by coefficient and group.

        Parameters
        ----------
        pool : bool, optional
            As for :meth:`standard_errors`.
        """
        estimates, errors = self.coef(), self.standard_errors(pool)
        t = estimates / errors
        df = self._df(pool)
        p = pd.DataFrame(2.0 * stats.t.sf(t.abs(), df[:, None]), index=t.index, columns=t.columns)
        columns = {"Estimate": estimates, "Std. Error": errors, "t value": t, "Pr(>|t|)": p}
        return _stacked(columns)

    def confint(self, level: float = 0.95, pool: bool | None = None) -> GroupTable:
        """Return confidence limits of the coefficients, by coefficient and group.

        Parameters
        ----------
        level : float
            Confidence level.
        pool : bool, optional
            As for :meth:`standard_errors`. lme4 1.1-31 has limits of separate variances here, beside
            standard errors of a pooled one: those are of ``pool=False``.
        """
        check_level(level)
        half = self.standard_errors(pool).mul(stats.t.ppf(0.5 + 0.5 * level, self._df(pool)), axis=0)
        low, high = percent_names(level)
        return _stacked({low: self.coef() - half, high: self.coef() + half})

    def fitted(self) -> pd.Series[float]:
        """Return the fitted values by row."""
        return self._by_row({name: fit.mean for name, fit in self.items()}, "fitted")

    def residuals(self) -> pd.Series[float]:
        """Return what is observed less what is fitted, by row."""
        return self._by_row({name: fit.y - fit.mean for name, fit in self.items()}, "residuals")

    def predict(self, newdata: Any = None) -> pd.Series[float]:
        """Predict the mean of new rows, each from the coefficients of its group.

        Parameters
        ----------
        newdata : DataFrame or other table, optional
            New rows; by default those of the fit.

        Returns
        -------
        Series
            NaN where a variable is missing, or the group does not determine a coefficient that counts.

        Raises
        ------
        DataError
            If a variable is absent, or a group was not in the data.
        """
        if newdata is None:
            return self.fitted().rename("fit")
        X, offset = fixed_matrix(self.design, newdata)
        ((_, codes),) = random_matrices(self.design, newdata)
        unknown = (codes < 0) & ~np.isnan(X).any(axis=1)
        if unknown.any():
            raise DataError(
                f"row {int(np.argmax(unknown))} of newdata (counting from 0) has no {self._grouping.group} "
                "of the fit, and each group has coefficients of its own: leave such rows out; lmer() has "
                "those of new groups."
            )
        beta = self.coef().to_numpy()[codes]
        mean = np.where(X == 0.0, 0.0, X * beta).sum(axis=1) + (0.0 if offset is None else offset)
        index = newdata.index if isinstance(newdata, pd.DataFrame) else pd.RangeIndex(len(mean))
        return pd.Series(mean, index=index, name="fit")

    def __repr__(self) -> str:
        table = self.coef()
        cells = zip(*(format_numbers(table[column].to_numpy()) for column in table), strict=True)
        return Page(
            [
                f"Linear models by {self._grouping.group}: {self._formula}",
                "Coefficients:",
                text_matrix(list(cells), list(map(str, table.index)), list(table.columns), right=True),
                "",
                f"Degrees of freedom: {self.nobs()} total; {self.df_residual()} residual",
                f"Residual standard error: {self.sigma():.7g}",
            ]
        )

    def _repr_html_(self) -> str:
        return html_of(repr(self))

    def _pools(self, pool: bool | None) -> bool:
        if pool is not None:
            true_or_false(pool=pool)
        return self.pool if pool is None else pool

    def _df(self, pool: bool | None) -> FloatArray:
        """Return the degrees of freedom of tests of each group, NaN where there are none."""
        own = [self.df_residual() if self._pools(pool) else fit.df_residual() for fit in self.values()]
        return np.where(np.array(own) > 0, np.array(own, dtype=np.float64), np.nan)

    def _by_group(self, values: Mapping[str, pd.Series]) -> pd.DataFrame:
        """Return coefficients of each group as a table of all coefficients."""
        table = pd.DataFrame(values).T.reindex(columns=list(self.design.x_names))
        return table.rename_axis(index=self._grouping.group)

    def _by_row(self, values: Mapping[str, FloatArray], name: str) -> pd.Series[float]:
        whole = np.full(self.nobs(), np.nan)
        for code, level in enumerate(self._grouping.levels):
            if level in values:
                whole[self._grouping.codes == code] = values[level]
        missing = self.design.missing
        if missing.action != "exclude" or not missing.n_dropped:
            return pd.Series(whole, index=self.design.index, name=name)
        padded = np.full(missing.n_input, np.nan)
        padded[missing.kept] = whole
        return pd.Series(padded, index=missing.input_index, name=name)


def _stacked(columns: Mapping[str, pd.DataFrame]) -> GroupTable:
    """Return tables of groups and coefficients as the columns of one table, a block for each coefficient."""
    stacked = {name: table.T.stack(future_stack=True) for name, table in columns.items()}
    return GroupTable(pd.DataFrame(stacked).rename_axis(index=["coefficient", "group"]))
