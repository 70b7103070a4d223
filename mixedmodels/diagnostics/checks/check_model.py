"""All checks that apply to a model, on one page."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mixedmodels.advice import advises
from mixedmodels.diagnostics.checks.collinearity import check_collinearity
from mixedmodels.diagnostics.checks.convergence import check_convergence
from mixedmodels.diagnostics.checks.heteroscedasticity import check_heteroscedasticity
from mixedmodels.diagnostics.checks.normality import check_normality
from mixedmodels.diagnostics.checks.overdispersion import check_overdispersion
from mixedmodels.diagnostics.checks.record import Check
from mixedmodels.diagnostics.checks.singularity import check_singularity
from mixedmodels.diagnostics.checks.zero_inflation import check_zero_inflation
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.errors import NotAvailableError
from mixedmodels.reports.html import Table
from mixedmodels.reports.page import Page, html_of

CHECKS: dict[str, Callable[[Any], Check]] = {
    "convergence": check_convergence,
    "singularity": check_singularity,
    "collinearity": check_collinearity,
    "overdispersion": check_overdispersion,
    "zero inflation": check_zero_inflation,
    "heteroscedasticity": check_heteroscedasticity,
    "normality of residuals": partial(check_normality, effects="residuals"),
    "normality of random effects": partial(check_normality, effects="random"),
}
MARKS = {True: "ok", False: "look", None: "?"}
LINE_WIDTH = 100


@dataclass(frozen=True, slots=True, repr=False)
class ModelChecks:
    """The checks that apply to a model.

    Attributes
    ----------
    checks : dict
        Name to record, in the order of printing.
    """

    checks: dict[str, Check]

    def __getitem__(self, name: str) -> Check:
        """Return the check of that name."""
        return self.checks[name]

    @property
    def is_fine(self) -> bool:
        """Whether no check speaks against the model."""
        return not any(check.is_fine is False for check in self.checks.values())

    def __repr__(self) -> str:
        mark = max(map(len, MARKS.values())) + 2
        name = max(map(len, self.checks)) + 2
        indent = " " * (mark + name)
        lines = []
        for title, check in self.checks.items():
            head = f"{MARKS[check.is_fine]:<{mark}}{title:<{name}}"
            filled = textwrap.wrap(check.sentence, LINE_WIDTH, initial_indent=head, subsequent_indent=indent)
            lines.extend(filled)
        cells = tuple((MARKS[c.is_fine], title, c.sentence) for title, c in self.checks.items())
        return Page([Table("\n".join(lines), cells, ("",) * len(cells), ("", "Check", "Finding"))])

    def _repr_html_(self) -> str:
        return html_of(repr(self))


@advises
def check_model(model: Any) -> ModelChecks:
    """Run all checks that apply to a model.

    Parameters
    ----------
    model : fitted model
        Of any kind.

    Returns
    -------
    ModelChecks
        The records by name; prints a line or two for each.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", mm.load_dataset("cake"))
    >>> list(mm.check_model(m).checks)[:3]
    ['convergence', 'singularity', 'collinearity']
    """
    fit = a_fit(model, "check_model")
    found: dict[str, Check] = {}
    for name, check in CHECKS.items():
        try:
            found[name] = check(fit)
        except NotAvailableError:
            continue
    return ModelChecks(found)
