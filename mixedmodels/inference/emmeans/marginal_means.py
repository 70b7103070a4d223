"""Marginal means and contrasts in the user's hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.errors import ControlError, listed
from mixedmodels.inference.emmeans.adjustment import adjustment_named
from mixedmodels.inference.emmeans.contrasting import contrast, interaction_contrast
from mixedmodels.inference.emmeans.effect_size import effect_sizes
from mixedmodels.inference.emmeans.joint import joint_table
from mixedmodels.inference.emmeans.letter_table import letter_table
from mixedmodels.inference.emmeans.letters import SYMBOLS
from mixedmodels.inference.emmeans.linear_functions import (
    LinearFunctions,
    Scale,
    as_estimates,
    covariance,
    on_response_scale,
)
from mixedmodels.inference.emmeans.options import number
from mixedmodels.inference.emmeans.pairwise_matrix import PairwiseMatrices, Shown, pairwise_matrices
from mixedmodels.inference.emmeans.summary_table import (
    EmmeansTable,
    Request,
    Side,
    summary_table,
    with_request,
)
from mixedmodels.reports.page import Page, html_of
from mixedmodels.reports.printed_frame import one_below_the_other


@advises
class MarginalMeans:
    """Estimated marginal means, trends, or contrasts of them: linear functions of the fixed effects.

    Made by :func:`mixedmodels.emmeans` and :func:`mixedmodels.emtrends`; printing shows their table.

    Parameters
    ----------
    functions : LinearFunctions
        The functions, with how they are shown and tested.
    """

    def __init__(self, functions: LinearFunctions) -> None:
        self.functions = functions

    def summary(
        self,
        *,
        infer: bool | tuple[bool, bool] | None = None,
        level: float | None = None,
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        type: Scale | None = None,
        null: float = 0.0,
        side: Side = "two-sided",
        delta: float = 0.0,
        bias_adjust: bool | None = None,
        sigma: float | None = None,
        cross_adjust: str | None = None,
    ) -> EmmeansTable:
        """Return the table of estimates, standard errors, limits and tests.

        Parameters
        ----------
        infer : bool or (bool, bool), optional
            Whether to show limits and tests; by default limits of means and tests of contrasts.
        level : float, optional
            Confidence level.
        adjust : str, optional
            Adjustment for the number of estimates in a family.
        by : str or list of str, optional
            Variables that divide the rows into families; an empty list for one family.
        type : {"link", "response"}, optional
            Scale of the estimates.
        null : float
            Value under the hypothesis, on the scale of the linear predictor.
        side : {"two-sided", "<", ">"}
            Alternative.
        delta : float
            Threshold of a test of equivalence, or of noninferiority and nonsuperiority with a `side`.
        bias_adjust : bool, optional
            Whether back-transformed estimates are adjusted for bias.
        sigma : float, optional
            Standard deviation for that.
        cross_adjust : str, optional
            Adjustment of p-values for the number of families, after that within each: sidak, bonferroni,
            holm, hochberg, hommel, bh, by or none.

        Raises
        ------
        ControlError
            If an option has a value that it cannot have.
        """
        return summary_table(
            self.functions,
            Request(
                *_pair(infer), level, adjust, self._by(by), type, number("null", null), side,
                number("delta", delta), bias_adjust, sigma, cross_adjust,
            ),
        )  # fmt: skip

    def confint(
        self, level: float = 0.95, *, adjust: str | None = None, type: Scale | None = None
    ) -> EmmeansTable:
        """Return the table with confidence limits, adjusted so that they hold together."""
        return self.summary(infer=(True, False), level=level, adjust=adjust, type=type)

    def test(
        self,
        null: float = 0.0,
        *,
        joint: bool = False,
        side: Side = "two-sided",
        delta: float = 0.0,
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        type: Scale | None = None,
        cross_adjust: str | None = None,
    ) -> EmmeansTable:
        """Return the table with tests; with `joint` the F test that all of a family are `null`.

        Parameters
        ----------
        null : float
            Value under the hypothesis, on the scale of the linear predictor.
        joint : bool
            Whether to test all of a family at once.
        side : {"two-sided", "<", ">"}
            Alternative.
        delta : float
            Threshold of a test of equivalence, noninferiority or nonsuperiority.
        adjust : str, optional
            Adjustment for the number of tests in a family.
        by : str or list of str, optional
            Variables that divide the rows into families; an empty list for one family.
        type : {"link", "response"}, optional
            Scale of the estimates shown.
        cross_adjust : str, optional
            Adjustment for the number of families.

        Raises
        ------
        ControlError
            If an option has a value that it cannot have.
        """
        if joint:
            functions = with_request(self.functions, Request(by=self._by(by)))
            return joint_table(replace(functions, offset=functions.offset - number("null", null)))
        return self.summary(
            infer=(False, True), null=null, side=side, delta=delta, adjust=adjust, by=by, type=type,
            cross_adjust=cross_adjust,
        )  # fmt: skip

    def to_frame(
        self,
        *,
        infer: bool | tuple[bool, bool] | None = None,
        level: float | None = None,
        adjust: str | None = None,
        type: Scale | None = None,
    ) -> pd.DataFrame:
        """Return the table as an ordinary DataFrame; arguments as for :meth:`summary`."""
        return self.summary(infer=infer, level=level, adjust=adjust, type=type).to_frame()

    @overload
    def contrast(
        self,
        method: Any = "eff",
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: None = None,
        interaction: bool | str | Sequence[Any] = False,
        type: Scale | None = None,
        name: str = "contrast",
        ref: Any = None,
        reverse: bool | None = None,
        exclude: Any = None,
        max_degree: int | None = None,
        cross_adjust: str | None = None,
    ) -> MarginalMeans: ...
    @overload
    def contrast(
        self,
        method: Any = "eff",
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: str | Sequence[Any] | None = None,
        interaction: bool | str | Sequence[Any] = False,
        type: Scale | None = None,
        name: str = "contrast",
        ref: Any = None,
        reverse: bool | None = None,
        exclude: Any = None,
        max_degree: int | None = None,
        cross_adjust: str | None = None,
    ) -> MarginalMeans | SimpleContrasts: ...
    def contrast(
        self,
        method: Any = "eff",
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: str | Sequence[Any] | None = None,
        interaction: bool | str | Sequence[Any] = False,
        type: Scale | None = None,
        name: str = "contrast",
        ref: Any = None,
        reverse: bool | None = None,
        exclude: Any = None,
        max_degree: int | None = None,
        cross_adjust: str | None = None,
    ) -> MarginalMeans | SimpleContrasts:
        """Return contrasts of the means within each family.

        Parameters
        ----------
        method : str, dict, callable or array_like
            ``"pairwise"``, ``"revpairwise"``, ``"poly"``, ``"trt.vs.ctrl"`` (``"dunnett"``),
            ``"trt.vs.ctrlk"``, ``"consec"``, ``"eff"``, ``"del.eff"``, ``"mean_chg"``, ``"identity"``;
            name -> coefficients; a function of the levels that returns such a dict; or a matrix with one
            contrast a row.
        by : str or list of str, optional
            Variables that divide the means into families; an empty list for one family.
        adjust : str, optional
            Adjustment of p-values and limits, by default what suits the method: Tukey's for all pairs,
            Dunnett's (approximate) for comparisons with a control, false discovery rates for effects,
            multivariate t for changes, none for polynomials and coefficients of your own.
        simple : str or list of str, optional
            Variables to contrast, within the levels of all others; ``"each"`` takes one after the other, and
            a list of lists the sets in it.
        interaction : bool, str or list
            Methods for each variable, for contrasts of contrasts; True takes `method` for all of them.
        type : {"link", "response"}, optional
            Scale of tables.
        name : str
            Name of the column of contrasts.
        ref : str or int, or list of them, optional
            The control of ``"trt.vs.ctrl"``: a level by name, or by number from 0; several are averaged.
        reverse : bool, optional
            Whether differences are the other way round, for pairs, controls and changes.
        exclude : str or int, or list of them, optional
            Levels to leave out.
        max_degree : int, optional
            Highest degree of ``"poly"``.
        cross_adjust : str, optional
            Adjustment of p-values for the number of families, after that within each.

        Returns
        -------
        MarginalMeans or SimpleContrasts
            The contrasts; one set of them a variable where `simple` names several sets.

        Raises
        ------
        ControlError
            If the method is unknown, or coefficients do not fit the means.
        """
        functions = self.functions
        if (sets := self._simple_sets(simple)) is not None:
            return SimpleContrasts({
                f"simple contrasts for {'*'.join(mine)}": self.contrast(
                    method, by=list(self._all_but(mine)), adjust=adjust, interaction=interaction, type=type,
                    name=name, ref=ref, reverse=reverse, exclude=exclude, max_degree=max_degree,
                    cross_adjust=cross_adjust,
                )
                for mine in sets
            })  # fmt: skip
        families = self._by(by) if simple is None else self._all_but(simple)
        groups = list(functions.by if families is None else families)
        given = {"ref": ref, "reverse": reverse, "exclude": exclude, "max_degree": max_degree}
        options = {option: value for option, value in given.items() if value is not None}
        if interaction is False:
            found = contrast(functions, method, groups, name, options)
        else:
            methods = [method] if interaction is True else _listed(interaction)
            found = interaction_contrast(functions, methods, groups)
        if not len(found.labels):
            raise ControlError("every family has one mean only, so there is nothing to contrast.")
        family = found.family if adjust is None else replace(found.family, adjust=adjustment_named(adjust))
        found = replace(found, family=family)
        return MarginalMeans(with_request(found, Request(type=type, cross_adjust=cross_adjust)))

    @overload
    def pairs(
        self,
        reverse: bool = False,
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: None = None,
        type: Scale | None = None,
        exclude: Any = None,
        cross_adjust: str | None = None,
    ) -> MarginalMeans: ...
    @overload
    def pairs(
        self,
        reverse: bool = False,
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: str | Sequence[Any] | None = None,
        type: Scale | None = None,
        exclude: Any = None,
        cross_adjust: str | None = None,
    ) -> MarginalMeans | SimpleContrasts: ...
    def pairs(
        self,
        reverse: bool = False,
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: str | Sequence[Any] | None = None,
        type: Scale | None = None,
        exclude: Any = None,
        cross_adjust: str | None = None,
    ) -> MarginalMeans | SimpleContrasts:
        """Return all pairwise differences, or ratios, in each family; arguments as for :meth:`contrast`."""
        method = "revpairwise" if reverse else "pairwise"
        return self.contrast(
            method, by=by, adjust=adjust, simple=simple, type=type, exclude=exclude, cross_adjust=cross_adjust
        )

    def pwpm(
        self,
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        type: Scale | None = None,
        pvals: bool = True,
        means: bool = True,
        diffs: bool = True,
        reverse: bool = False,
        flip: bool = False,
    ) -> PairwiseMatrices:
        """Return means, differences and p-values in one square for each family.

        Parameters
        ----------
        by : str or list of str, optional
            Variables that divide the means into families.
        adjust : str, optional
            Adjustment of the p-values, Tukey's by default.
        type : {"link", "response"}, optional
            Scale of means and differences.
        pvals, means, diffs : bool
            Whether the p-values above the diagonal, the means on it and the differences below are shown.
        reverse : bool
            Whether differences are later less earlier.
        flip : bool
            Whether p-values stand below the diagonal and differences above.

        Returns
        -------
        PairwiseMatrices
            A dict, family -> DataFrame of numbers, that prints as R's emmeans prints it.
        """
        shown = Shown(pvals, means, diffs, reverse, flip)
        return pairwise_matrices(self.functions, shown, Request(by=self._by(by), adjust=adjust, type=type))

    def regrid(self, *, bias_adjust: bool | None = None, sigma: float | None = None) -> MarginalMeans:
        """Return the means on the scale of the response as estimates of their own.

        Their standard errors are by the delta method, their limits symmetric, and contrasts of them are
        differences of means of the response.
        """
        functions = with_request(self.functions, Request(bias_adjust=bias_adjust, sigma=sigma))
        values, V, df = on_response_scale(functions)
        basis, L = as_estimates(functions, values, V, df)
        scale = functions.scale
        known = scale is not None and scale.is_known
        return MarginalMeans(
            replace(
                functions,
                L=L,
                offset=np.zeros(len(L)),
                basis=basis,
                name=scale.label if known and scale is not None else functions.name,
                scale=None if known else scale,
                type="link",
                bias_adjust=False,
            )
        )

    def cld(
        self, alpha: float = 0.05, *, adjust: str | None = None, by: str | Sequence[str] | None = None,
        letters: str = SYMBOLS, sort: bool = True, reverse: bool = False,
    ) -> EmmeansTable:  # fmt: skip
        """Return the table of means with a compact letter display: means that share a symbol do not differ.

        Parameters
        ----------
        alpha : float
            Significance level of the pairwise tests.
        adjust : str, optional
            Their adjustment, Tukey's by default.
        by : str or list of str, optional
            Variables that divide the means into families.
        letters : str
            Symbols to use, in order.
        sort : bool
            Whether to sort the means of a family by size.
        reverse : bool
            Whether the largest comes first.
        """
        functions = with_request(self.functions, Request(by=self._by(by)))
        return letter_table(functions, alpha, adjust, letters, sort, reverse)

    def eff_size(
        self,
        sigma: float,
        edf: float,
        method: Any = "pairwise",
        *,
        by: str | Sequence[str] | None = None,
    ) -> MarginalMeans:
        """Return standardized differences: contrasts divided by `sigma` (Cohen's d).

        Parameters
        ----------
        sigma : float
            Standard deviation that effects are measured by.
        edf : float
            Degrees of freedom that `sigma` was estimated with; infinite if it is known.
        method : str, dict, callable or array_like
            As for :meth:`contrast`.
        by : str or list of str, optional
            Variables that divide the means into families.
        """
        means = MarginalMeans(effect_sizes(self.functions, sigma, edf))
        found = means.contrast(method, adjust="none", by=by).functions
        family = replace(found.family, intervals=True, tests=False)
        note = f"sigma used for effect sizes: {sigma:.4g}"
        return MarginalMeans(replace(found, name="effect.size", family=family, notes=(note,)))

    def vcov(self) -> pd.DataFrame:
        """Return the covariance matrix of the estimates, on the scale of the linear predictor."""
        names = [" ".join(map(str, row)) for row in self.functions.labels.itertuples(index=False)]
        return pd.DataFrame(covariance(self.functions), index=names, columns=names)

    def __len__(self) -> int:
        return len(self.functions.labels)

    def __repr__(self) -> str:
        return repr(self.summary())

    def _repr_html_(self) -> str:
        return html_of(repr(self))

    def _by(self, by: str | Sequence[str] | None) -> tuple[str, ...] | None:
        return None if by is None else tuple(_listed(by))

    def _simple_sets(self, simple: Any) -> list[list[str]] | None:
        """Return the sets of variables to contrast one after the other; None where there is one set."""
        columns = list(self.functions.labels.columns)
        if isinstance(simple, str) and simple == "each" and simple not in columns:
            return [[name] for name in columns]
        is_listed = isinstance(simple, (list, tuple)) and any(isinstance(s, (list, tuple)) for s in simple)
        return [_listed(mine) for mine in simple] if is_listed else None

    def _all_but(self, simple: str | Sequence[str]) -> tuple[str, ...]:
        names = _listed(simple)
        unknown = [name for name in names if name not in self.functions.labels.columns]
        if unknown:
            raise ControlError(
                f"simple names {unknown[0]!r}; the variables are {listed(self.functions.labels)}."
            )
        return tuple(name for name in self.functions.labels.columns if name not in names)


class SimpleContrasts(dict[str, MarginalMeans]):
    """Contrasts of one variable after the other: ``"simple contrasts for a"`` -> those within all others."""

    def __repr__(self) -> str:
        parts = [part for name, found in self.items() for part in (f"$`{name}`", repr(found), "")]
        return Page(parts[:-1])

    __str__ = __repr__

    def to_frame(self) -> pd.DataFrame:
        """Return the tables one below the other, with what each is of and the number of a row as index."""
        tables = {name: found.to_frame() for name, found in self.items()}
        return one_below_the_other(tables, ("contrasts", "row"))

    def _repr_html_(self) -> str:
        return html_of(repr(self))


class MeansAndContrasts(MarginalMeans):
    """Marginal means, and beside them the contrasts that ``"pairwise ~ a"`` asks for.

    Parameters
    ----------
    emmeans : MarginalMeans
        The means, which all methods are of.
    contrasts : MarginalMeans
        The contrasts.
    """

    def __init__(self, emmeans: MarginalMeans, contrasts: MarginalMeans) -> None:
        super().__init__(emmeans.functions)
        self.emmeans = emmeans
        self.contrasts = contrasts

    def __repr__(self) -> str:
        return Page(["$emmeans", repr(self.emmeans), "", "$contrasts", repr(self.contrasts)])


def _pair(infer: Any) -> tuple[bool | None, bool | None]:
    if infer is None:
        return None, None
    if isinstance(infer, (bool, np.bool_)):
        return bool(infer), bool(infer)
    if isinstance(infer, Iterable) and len(both := list(infer)) == 2:
        return bool(both[0]), bool(both[1])
    raise ControlError(f"infer must be True, False or a pair such as (True, False), not {shown(infer)}.")


def _listed(names: Any) -> list[Any]:
    return [names] if isinstance(names, str) else list(names)
