"""Separation: coefficients whose maximum likelihood estimate is infinite, on an edge or not determined.

The estimate of a binomial model does not exist when some direction d moves every fitted probability
towards its response (Albert & Anderson 1984): x'd >= 0 where successes occur, x'd <= 0 where failures
occur, not all zero. For counts only the zeros can be left behind: x'd <= 0 where y = 0, x'd = 0 where y > 0
(Correia, Guimaraes & Zylkin 2019). Every family says which of its rows gain all the way to an end of the
range of their mean (``Family.tails``): inflated zeros, ones among truncated counts. The link says where
that end lies: at infinity, where the coefficients go, or at an edge such as eta = 0 of the identity link,
where they stop. Rows that tell nothing about their mean, as the zeros of a hurdle, determine nothing.

Random effects and offsets change neither the condition nor the answer. Along d the likelihood of every row
rises whatever its random effects are, so that its integral over them rises too; and where no such d exists
some row loses without bound along any direction, whatever its random effects, and the integral with it.
A group whose responses are all alike is another matter: its effect is shrunk by the variance, and only
coefficients of the fixed part, whether they vary within groups or between them, are examined here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.engines.glm.cells import TextArray, describe
from mixedmodels.engines.glm.recession import Basis, Directions, basis_of, is_held, lost, recession, unseen
from mixedmodels.engines.glm.tail_signs import tail_signs
from mixedmodels.families.family import Family, Tails
from mixedmodels.families.links import Link
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.optimization.identification_words import listed_names
from mixedmodels.optimization.report import ConvergenceReport, Verdict

# A mean this close to the end of its range, or a coefficient of this many units of eta per standard
# deviation of its column, calls for the exact test; neither proves anything by itself.
SUSPICIOUS_MEAN = 1e-4
SUSPICIOUS_EFFECT = 8.0
# The words every finding about infinite estimates holds.
NO_ESTIMATE = "no finite estimate"

Kind = Literal["constant", "complete", "quasi-complete", "empty", "edge", "unidentified", "lost"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Separation:
    """One finding: coefficients that run to infinity together, or have no estimate for another reason.

    Attributes
    ----------
    kind : str
        ``"constant"``, a response that is all alike; ``"complete"`` or ``"quasi-complete"`` separation of a
        binomial response; ``"empty"``, rows that take coefficients to infinity, as counts that are all
        zero; ``"edge"``, the same where the range of the link ends before; ``"unidentified"``, coefficients
        about which no row tells anything; ``"lost"``, a fit that has left the rows that tell about them.
    columns : tuple of str
        Names of the coefficients.
    message : str
        One sentence naming what is wrong in the data.
    """

    kind: Kind
    columns: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FittedRows:
    """What the fit of a model says of its rows.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Coefficients.
    mu : ndarray, shape (n,)
        Means of the fixed part.
    eta : ndarray, shape (n,)
        Linear predictor, random effects and offset included.
    information : ndarray, shape (n,)
        Information of the rows about eta; not used where the family's tails are exact.
    pull : ndarray, shape (n,), or None
        Derivatives of a log-likelihood of the rows in eta that balance, ``X'u = 0``, if such are known.
    """

    beta: FloatArray
    mu: FloatArray
    eta: FloatArray
    information: FloatArray
    pull: FloatArray | None = None


def find_separation(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray | ColumnMatrix,
    names: Sequence[str],
    family: Family,
    fitted: FittedRows | None = None,
    factors: Mapping[str, Sequence[object]] | None = None,
) -> tuple[Separation, ...]:
    """Return what keeps coefficients from having finite estimates inside the range of the link.

    Parameters
    ----------
    y, weights : ndarray, shape (n,)
        Response and prior weights as ``initialize`` returns them.
    X : ndarray or ColumnMatrix, shape (n, p)
        Fixed-effects matrix of full column rank.
    names : sequence of str
        Names of its columns.
    family : Family
        Family and link.
    fitted : FittedRows, optional
        The fit, which decides cheaply whether to look at all.
    factors : mapping of str to sequence, optional
        Categorical variables of the fixed part, one label a row: levels responsible are then named by
        variable and level instead of by column.

    Returns
    -------
    tuple of Separation
        Empty when every coefficient has a finite estimate, or the fit gives no reason to doubt it.

    References
    ----------
    Albert & Anderson (1984), Biometrika 71, 1-10; Konis (2007), DPhil thesis, University of Oxford;
    Correia, Guimaraes & Zylkin (2019), arXiv:1903.01633.

    Examples
    --------
    >>> import numpy as np
    >>> from mixedmodels.families import binomial
    >>> X = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
    >>> found = find_separation(
    ...     np.array([0.0, 1.0, 1.0, 1.0]), np.ones(4), X, ("(Intercept)", "drug"), binomial()
    ... )
    >>> found[0].message
    'drug has no finite estimate: there is no failure where drug = 1.'
    """
    tails, used = family.tails(y), weights > 0.0
    if X.shape[1] == 0 or not used.any():
        return ()
    telling = used & ~tails.silent
    columns = ColumnMatrix.of(X)
    if fitted is not None and not _is_doubtful(columns.dense, fitted, telling, tails, family.link):
        return ()
    labels = {name: np.asarray(values, dtype=str) for name, values in (factors or {}).items()}
    rows = _Rows(y, used, columns.dense, tuple(names), family, tails, labels, basis_of(columns))
    pull = None if fitted is None else weights * (y - fitted.mu) if fitted.pull is None else fitted.pull
    findings = [*_unidentified(rows), *_infinite(rows, pull), *_on_edges(rows)]
    if fitted is not None and not tails.is_exact:
        findings += _lost(rows, fitted)
    named: set[str] = set()
    kept = []
    for finding in findings:
        if not set(finding.columns) <= named:
            kept.append(finding)
            named |= set(finding.columns)
    return tuple(kept)


def judged(
    convergence: ConvergenceReport, findings: Sequence[Separation], reaches_edges: bool = False
) -> ConvergenceReport:
    """Return the verdict on a fit in the light of what was found: the worse of both, with all reasons.

    The findings replace what the engine, which knows columns only by their number, has said of the same.
    With `reaches_edges` an estimate at the end of the range of the link is a boundary that the engine knows
    how to reach.
    """
    if not findings:
        return convergence
    others = (reason for reason in convergence.reasons if NO_ESTIMATE not in reason)
    reasons = (*(found.message for found in findings), *others)
    kinds = {found.kind for found in findings}
    legal = {"edge", "unidentified"} if reaches_edges else {"unidentified"}
    verdict = _verdict(convergence, kinds) if kinds <= legal else "not converged"
    return ConvergenceReport(verdict, convergence.decrement, reasons)


def _verdict(convergence: ConvergenceReport, kinds: Collection[str]) -> Verdict:
    found: Verdict = "not identified" if "unidentified" in kinds else "boundary"
    order: tuple[Verdict, ...] = ("converged", "boundary", "not identified", "not converged")
    return max(found, convergence.verdict, key=order.index)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Rows:
    """The rows of a model and their words."""

    y: FloatArray
    used: BoolArray
    X: FloatArray
    names: tuple[str, ...]
    family: Family
    tails: Tails
    labels: Mapping[str, TextArray]
    basis: Basis

    @property
    def silent(self) -> BoolArray:
        """Rows that tell nothing about their mean."""
        return np.asarray(self.tails.silent | ~self.used)

    def recession(self, sign: IntArray) -> Directions | None:
        """Return the directions along which no row loses and some gain."""
        found = recession(self.basis.Q, sign, self.silent)
        return None if found is None else Directions(found.moved, self.basis.columns_of(found.space))

    def named(self, directions: Directions) -> tuple[str, ...]:
        """Return the names of the coefficients that directions move."""
        return tuple(name for name, moves in zip(self.names, directions.columns, strict=True) if moves)

    def lacks(self, some: BoolArray) -> str:
        """Return what is missing among some rows, in words; empty if nothing is."""
        telling = some & ~self.silent
        if not telling.any():
            if not (some & self.used).any():
                return "there is no row of positive weight"
            return "there is no count above zero"
        if np.all(self.tails.to_zero[telling]):
            return self.tails.lacks_at_zero
        return self.tails.lacks_at_one if np.all(self.tails.to_one[telling]) else ""

    def where(self, chosen: BoolArray, directions: Directions, said: str = "") -> list[str]:
        """Return phrases that single out the rows chosen, saying what they lack, or what is given."""
        columns = {
            name: column
            for name, column, moves in zip(self.names, self.X.T, directions.columns, strict=True)
            if moves
        }
        lacks = (lambda some: said) if said else self.lacks
        return describe(chosen, lacks, self.labels, columns, self.silent)


def _is_doubtful(X: FloatArray, fitted: FittedRows, telling: BoolArray, tails: Tails, link: Link) -> bool:
    """Return whether a fit shows the marks of separation: extreme means or huge standardised effects."""
    # No deviation is larger than the largest value: mostly that settles it.
    effects, largest = np.abs(fitted.beta), np.maximum(X.max(axis=0), -X.min(axis=0))
    if not (effects * largest <= SUSPICIOUS_EFFECT).all():
        spread = X.std(axis=0)
        spread = np.where(spread > 0.0, spread, largest)
        if not np.all(effects * spread <= SUSPICIOUS_EFFECT):
            return True
    if not telling.all():
        return True
    if _has_extremes(fitted.mu, tails):
        return True
    # Where the range of the link ends at a mean of zero, zeros may pull fits to it that stop before.
    has_end = not (link.maps_to_unit_interval or link.name in ("log", "inverse"))
    if has_end and np.any(tails.to_zero) and not np.any(tails.to_one):
        return True
    return not tails.is_exact and bool(np.any(_information(fitted, link) < SUSPICIOUS_MEAN))


def _has_extremes(mu: FloatArray, tails: Tails) -> bool:
    """Tell whether the mean of a row that is drawn to an end is next to it."""
    if mu.min() >= SUSPICIOUS_MEAN and mu.max() <= 1.0 - SUSPICIOUS_MEAN:
        return False
    low, high = tails.to_zero & (mu < SUSPICIOUS_MEAN), tails.to_one & (mu > 1.0 - SUSPICIOUS_MEAN)
    return bool(np.any(low | high))


def _unidentified(rows: _Rows) -> list[Separation]:
    """Return the finding about coefficients that move only rows that tell nothing."""
    directions = unseen(rows.basis, ~rows.silent)
    if directions is None:
        return []
    reasons = rows.where(directions.moved, directions) or ["only rows that tell nothing about the mean do"]
    columns = rows.named(directions)
    is_are = "is" if len(columns) == 1 else "are"
    return [_finding("unidentified", columns, f"{is_are} not identified", reasons)]


def _infinite(rows: _Rows, pull: FloatArray | None) -> list[Separation]:
    """Return the finding about coefficients that run to infinity."""
    sign = _signs(rows, at_infinity=True)
    basis = rows.basis
    if pull is not None and is_held(basis.columns, sign, rows.silent, pull, basis.triangle):
        return []
    directions = rows.recession(sign)
    if directions is None:
        return []
    columns = rows.named(directions)
    kind = _kind(rows, directions)
    has = f"has {NO_ESTIMATE}" if len(columns) == 1 else f"have {NO_ESTIMATE}s"
    if kind == "constant":
        return [_finding(kind, columns, has, [rows.lacks(rows.used)])]
    reasons = _cuts(rows, directions) or rows.where(directions.moved, directions)
    return [_finding(kind, columns, has, reasons or [_combination(kind, rows)])]


def _on_edges(rows: _Rows) -> list[Separation]:
    """Return the finding about coefficients that stop where the range of the link ends."""
    at_infinity, anywhere = _signs(rows, at_infinity=True), _signs(rows, at_infinity=False)
    if np.array_equal(at_infinity, anywhere):
        return []
    directions = rows.recession(anywhere)
    if directions is None:
        return []
    reaching = directions.moved & (at_infinity != anywhere)
    if not reaching.any():
        return []
    only = replace(directions, moved=reaching)
    means = [mean for mean, to in (("0", rows.tails.to_zero), ("1", rows.tails.to_one)) if to[reaching].any()]
    mean = " or ".join(means)
    reasons = rows.where(reaching, only) or [f"a combination of them singles out rows whose mean is {mean}"]
    ends = f"which pulls the fitted mean to {mean}, the end of what the {rows.family.link.name} link allows"
    columns = rows.named(only)
    lies = "is at the end of its range" if len(columns) == 1 else "are at the end of their range"
    return [_finding("edge", columns, lies, [*reasons[:-1], f"{reasons[-1]}, {ends}"])]


def _lost(rows: _Rows, fitted: FittedRows) -> list[Separation]:
    """Return the finding about coefficients of which the rows of the fit say nothing any more."""
    information = np.where(rows.silent, 0.0, _information(fitted, rows.family.link))
    directions = lost(rows.basis, information)
    if directions is None:
        return []
    columns, moved = rows.named(directions), directions.moved & ~rows.silent
    if not moved.any():
        return []
    reasons = [_where_lost(rows, fitted, directions, moved)]
    has = f"has {NO_ESTIMATE}" if len(columns) == 1 else f"have {NO_ESTIMATE}s"
    return [_finding("lost", columns, has, reasons)]


def _where_lost(rows: _Rows, fitted: FittedRows, directions: Directions, moved: BoolArray) -> str:
    """Return which rows a fit has lost and to which end their means have run."""
    mu, size = float(np.median(fitted.mu[moved])), float(np.abs(rows.y[rows.used]).max())
    if rows.family.link.maps_to_unit_interval:
        end = "one" if mu > 0.5 else "zero"
    else:
        end = "zero" if abs(mu) < size else "infinity"
    runs = f"the fitted mean runs to {end}"
    places = [] if np.all(moved | rows.silent) else rows.where(moved, directions, runs)
    average = f"where the response averages {float(np.mean(rows.y[moved])):.3g}"
    return f"{'; '.join(places) or runs}, {average}"


def _information(fitted: FittedRows, link: Link) -> FloatArray:
    """Return the information about eta, about log(eta) where that has the unit of a power of the mean."""
    if link.maps_to_unit_interval or link.name == "log":
        return fitted.information
    with np.errstate(over="ignore"):
        return np.asarray(fitted.information * np.maximum(fitted.eta**2, 1.0))


def _signs(rows: _Rows, at_infinity: bool) -> IntArray:
    return np.asarray(tail_signs(rows.tails, rows.family.link, at_infinity) * rows.used)


def _kind(rows: _Rows, directions: Directions) -> Kind:
    """Return what to call directions to infinity."""
    if rows.lacks(rows.used) and np.all(directions.moved | rows.silent):
        return "constant"
    if not rows.tails.to_one.any():
        return "empty"
    return "complete" if np.all(directions.moved | rows.silent) else "quasi-complete"


def _cuts(rows: _Rows, directions: Directions) -> list[str]:
    """Return the value of a numeric column that divides successes from failures, if there is one."""
    if not rows.tails.to_one.any():
        return []
    telling = ~rows.silent
    success, failure = telling & (rows.y > 0.0), telling & (rows.y < 1.0)
    if not success.any() or not failure.any():
        return []
    for name, column, moves in zip(rows.names, rows.X.T, directions.columns, strict=True):
        if not moves or len(np.unique(column)) < 3:
            continue
        low, high = column[failure], column[success]
        if low.max() <= high.min():
            return [f"all successes have {name} >= {high.min():g} and all failures {name} <= {low.max():g}"]
        if high.max() <= low.min():
            return [f"all successes have {name} <= {high.max():g} and all failures {name} >= {low.min():g}"]
    return []


def _combination(kind: Kind, rows: _Rows) -> str:
    if kind == "empty":
        return f"a combination of them singles out rows where {rows.tails.lacks_at_zero}"
    where = "" if kind == "complete" else " in some of the rows"
    return f"a combination of them separates successes from failures{where}"


def _finding(kind: Kind, columns: tuple[str, ...], verb: str, reasons: Sequence[str]) -> Separation:
    return Separation(kind, columns, f"{listed_names(columns)} {verb}: {'; '.join(reasons)}.")
