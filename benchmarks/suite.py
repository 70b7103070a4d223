"""The models of the suite, as data.

A row names a data set (or a simulation of ``simulate.py``), a formula in lme4's language, and what we want to
reach: seconds for the whole call from data frame to fitted model, and evaluations of the objective.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Family = Literal["gaussian", "binomial", "poisson", "betabinomial"]


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the suite.

    Attributes
    ----------
    id : str
        Short name, unique in the suite.
    data : str
        Name of a data set in ``datasets/`` or of a simulation in ``simulate.py``.
    formula : str
        lme4's formula.
    family : {"gaussian", "binomial", "poisson", "betabinomial"}
        Response distribution, with its canonical link; the logit for the beta-binomial.
    REML : bool
        Criterion of a linear model; ignored by generalized ones.
    nAGQ : int
        Quadrature nodes per dimension of a generalized model; 1 is Laplace.
    simulated : bool
        Whether ``data`` names a simulation.
    arguments : tuple of (str, float)
        Arguments of the simulation, where they differ from its defaults.
    target_seconds : float, or None
        What the whole call should take on two cores like those the targets were set on.
    target_evaluations : int, or None
        At most this many evaluations of the objective with its gradient.
    target_refit : float, or None
        Seconds for a refit to a new response; where given, refits are timed.
    tags : tuple of str
        For ``--tag``: ``first`` (always worth running), ``small``, ``medium``, ``large``.
    note : str
        The shape of the problem and why it is here.
    """

    id: str
    data: str
    formula: str
    family: Family = "gaussian"
    REML: bool = True
    nAGQ: int = 1
    simulated: bool = False
    arguments: tuple[tuple[str, int], ...] = ()
    target_seconds: float | None = None
    target_evaluations: int | None = None
    target_refit: float | None = None
    tags: tuple[str, ...] = ()
    note: str = ""

    @property
    def linear(self) -> bool:
        """Whether this is a linear mixed model."""
        return self.family == "gaussian"

    @property
    def response(self) -> str:
        """Left-hand side of the formula."""
        return self.formula.partition("~")[0].strip()

    @property
    def fixed(self) -> str:
        """Right-hand side of the formula without its random terms."""
        without_bars = re.sub(r"\+?\s*\([^()]*\|[^()]*\)", "", self.formula.partition("~")[2])
        return without_bars.strip() or "1"

    @property
    def random(self) -> tuple[tuple[str, str], ...]:
        """Random terms as (expression, grouping factor)."""
        bars = re.findall(r"\(([^()|]*)\|([^()|]*)\)", self.formula)
        return tuple((expression.strip(), group.strip()) for expression, group in bars)


_KB07 = "RTtrunc ~ 1 + S + P + C + SP + SC + PC + SPC"
_SIX = " + ".join(f"x{k}" for k in range(1, 7))
_FORTY = " + ".join(f"x{k}" for k in range(1, 41))
_FIVE_HUNDRED = " + ".join(f"x{k}" for k in range(1, 501))

LINEAR = (
    Model(
        "sleepstudy",
        "sleepstudy",
        "Reaction ~ Days + (Days | Subject)",
        target_seconds=0.003,
        target_refit=0.0003,
        tags=("first", "small"),
        note="180 rows, 18 subjects, correlated slope",
    ),
    Model(
        "insteval-3",
        "InstEval",
        "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept:service)",
        REML=False,
        target_seconds=0.5,
        target_evaluations=12,
        tags=("first", "medium"),
        note="73,421 rows, 2,972 x 1,128 partially crossed, and 28 departments by service",
    ),
    Model(
        "insteval-dept",
        "InstEval",
        "y ~ service * dept + (1 | s) + (1 | d)",
        REML=False,
        target_seconds=0.4,
        tags=("medium",),
        note="28 fixed effects, two crossed factors",
    ),
    Model(
        "insteval-slope",
        "InstEval",
        "y ~ service + (1 | s) + (1 + service | d)",
        target_seconds=1.5,
        tags=("medium",),
        note="a vector-valued term crossed with 2,972 students",
    ),
    Model(
        "kb07-4",
        "kb07",
        f"{_KB07} + (1 + S + P + C | subj) + (1 + S + P + C | item)",
        REML=False,
        target_seconds=0.1,
        target_evaluations=40,
        tags=("small",),
        note="1,790 rows, two crossed vector-valued terms, 20 theta, singular",
    ),
    Model(
        "kb07-8",
        "kb07",
        f"{_KB07} + (1 + S + P + C + SP + SC + PC + SPC | subj)"
        " + (1 + S + P + C + SP + SC + PC + SPC | item)",
        REML=False,
        target_seconds=1.5,
        tags=("medium",),
        note="the maximal model: 72 theta, most of them not identified",
    ),
    Model(
        "kwdyz",
        "kwdyz",
        "rt ~ 1 + c1 + c2 + c3 + (1 + c1 + c2 + c3 | subj) + (1 + c1 + c2 + c3 | item)",
        REML=False,
        target_seconds=0.6,
        target_evaluations=40,
        tags=("medium",),
        note="28,710 rows, 61 subjects by 480 items, 20 theta",
    ),
    Model(
        "slopes-100k",
        "slopes",
        "y ~ x + (x | g)",
        simulated=True,
        target_seconds=0.05,
        tags=("medium",),
        note="100,000 rows, 5,000 groups, one slope",
    ),
    Model(
        "six-slopes",
        "six_slopes",
        f"y ~ {_SIX} + (1 + {_SIX} | g)",
        simulated=True,
        target_seconds=0.015,
        tags=("small",),
        note="5,000 rows, 100 groups, intercept and six slopes: 28 theta",
    ),
    Model(
        "crossed-300k",
        "crossed",
        "y ~ x + (1 | a) + (1 | b)",
        simulated=True,
        arguments=(("rows", 300_000), ("a_levels", 6_000), ("b_levels", 1_500)),
        target_seconds=1.2,
        tags=("large",),
        note="300,000 rows, 6,000 x 1,500 crossed",
    ),
    Model(
        "crossed-500k",
        "crossed",
        "y ~ x + (1 | a) + (1 | b)",
        simulated=True,
        arguments=(("rows", 500_000), ("a_levels", 50_000), ("b_levels", 500)),
        target_seconds=4.0,
        tags=("large",),
        note="500,000 rows, 50,000 x 500 crossed; memory under four times the data frame",
    ),
    Model(
        "films-1m",
        "films",
        "y ~ 1 + (1 | user) + (1 | film)",
        simulated=True,
        target_seconds=30.0,
        target_evaluations=14,
        tags=("large",),
        note="1,000,209 ratings, 6,040 users by 3,706 films, counts as skewed as film ratings are",
    ),
    Model(
        "nested-1m",
        "nested",
        "y ~ x + (1 | school) + (1 | class) + (1 | pupil)",
        simulated=True,
        target_seconds=3.0,
        tags=("large",),
        note="1,000,000 rows, 100,000 pupils in 5,000 classes in 200 schools; linear memory",
    ),
    Model(
        "teachers-300k",
        "teachers",
        "y ~ x + (1 | pupil) + (1 | teacher)",
        simulated=True,
        target_seconds=3.0,
        tags=("large",),
        note="300,000 rows, 60,000 pupils each with 2 to 4 of 12,000 teachers, near ones likeliest",
    ),
    Model(
        "districts-180k",
        "districts",
        "y ~ x + (1 | pupil) + (1 | teacher)",
        simulated=True,
        target_seconds=1.0,
        tags=("large",),
        note="180,000 rows, 60,000 pupils and 12,000 teachers in 300 districts, 60 lessons elsewhere",
    ),
)

GENERALIZED = (
    Model(
        "cbpp",
        "cbpp",
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        family="binomial",
        target_seconds=0.005,
        target_refit=0.001,
        tags=("first", "small"),
        note="56 rows, 15 herds, Laplace",
    ),
    Model(
        "cbpp-agq9",
        "cbpp",
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        family="binomial",
        nAGQ=9,
        target_seconds=0.005,
        tags=("first", "small"),
        note="the same, nine nodes",
    ),
    Model(
        "verbagg",
        "VerbAgg",
        "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
        family="binomial",
        target_seconds=0.06,
        tags=("first", "medium"),
        note="7,584 rows, 316 persons by 24 items",
    ),
    Model(
        "grouseticks",
        "grouseticks",
        "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | LOCATION) + (1 | INDEX)",
        family="poisson",
        target_seconds=0.03,
        tags=("small",),
        note="403 rows, broods in locations, and an observation-level effect",
    ),
    Model(
        "contraception",
        "Contraception",
        "use ~ age + I(age^2) + urban + livch + (urban | district)",
        family="binomial",
        target_seconds=0.03,
        tags=("small",),
        note="1,934 rows, 60 districts, correlated slope",
    ),
    Model(
        "toenail-agq25",
        "toenail",
        "outcome ~ treatment * visit + (1 | patientID)",
        family="binomial",
        nAGQ=25,
        tags=("small",),
        note="1,908 rows, 294 patients, 25 nodes; the target is twenty times lme4's speed",
    ),
    Model(
        "bernoulli-40k",
        "crossed_bernoulli",
        "y ~ x + (1 | a) + (1 | b)",
        family="binomial",
        simulated=True,
        arguments=(("rows", 40_000), ("a_levels", 1_000), ("b_levels", 200)),
        target_seconds=0.3,
        tags=("medium",),
        note="40,000 rows, 1,000 x 200 crossed",
    ),
    Model(
        "bernoulli-six-slopes",
        "six_slopes_bernoulli",
        f"y ~ {_SIX} + (1 + {_SIX} | g)",
        family="binomial",
        simulated=True,
        target_seconds=0.2,
        tags=("medium",),
        note="10,000 rows, 100 groups, intercept and six slopes: 28 theta",
    ),
    Model(
        "forty-effects",
        "forty_effects",
        f"y ~ {_FORTY} + (1 | g)",
        family="binomial",
        simulated=True,
        target_seconds=0.5,
        tags=("medium",),
        note="20,000 rows, 500 groups, 40 fixed effects",
    ),
    Model(
        "five-hundred-effects",
        "forty_effects",
        f"y ~ {_FIVE_HUNDRED} + (1 | g)",
        family="binomial",
        simulated=True,
        arguments=(("rows", 20_000), ("groups", 500), ("effects", 500)),
        tags=("large",),
        note="20,000 rows, 500 groups, 500 fixed effects: what a standard error of each costs",
    ),
    Model(
        "betabinomial-100k",
        "overdispersed",
        "cbind(y, size - y) ~ x + (1 | g)",
        family="betabinomial",
        simulated=True,
        tags=("large",),
        note="100,000 rows of 5 to 19 trials, 1,000 groups, a precision to estimate",
    ),
    Model(
        "bernoulli-100k",
        "crossed_bernoulli",
        "y ~ x + (1 | a) + (1 | b)",
        family="binomial",
        simulated=True,
        arguments=(("rows", 100_000), ("a_levels", 5_000), ("b_levels", 200)),
        tags=("large",),
        note="100,000 rows, 5,000 x 200 crossed",
    ),
    Model(
        "bernoulli-200k",
        "crossed_bernoulli",
        "y ~ x + (1 | a) + (1 | b)",
        family="binomial",
        simulated=True,
        arguments=(("rows", 200_000), ("a_levels", 20_000), ("b_levels", 1_000)),
        target_seconds=10.0,
        tags=("large",),
        note="200,000 rows, 20,000 x 1,000 crossed",
    ),
    Model(
        "slopes-agq5",
        "slopes_bernoulli",
        "y ~ x + (x | g)",
        family="binomial",
        nAGQ=5,
        simulated=True,
        target_seconds=10.0,
        tags=("large",),
        note="100,000 rows, 20,000 groups, intercept and slope, five nodes in each dimension"
        " (the rule itself errs by 0.8 here; packages differ by 0.002 by where their nodes stand)",
    ),
)

MODELS = LINEAR + GENERALIZED


def counts(model: Model) -> tuple[str, str] | None:
    """Return (successes, trials) of a response written ``cbind(successes, trials - successes)``."""
    match = re.fullmatch(r"cbind\((\w+), (\w+) - \1\)", model.response)
    return (match[1], match[2]) if match else None


def find(model_id: str) -> Model:
    """Return the model of that name.

    Raises
    ------
    KeyError
        If the suite has no such model.
    """
    return {model.id: model for model in MODELS}[model_id]
