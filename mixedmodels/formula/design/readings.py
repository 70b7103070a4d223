"""Readings of a formula that are legal and hardly meant, each told in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mixedmodels.deferred import on_first_use
from mixedmodels.errors import DataWarning, FormulaWarning, listed, warn
from mixedmodels.formula.design.random_effects import BarPlan
from mixedmodels.formula.evaluation.columns import Column, Factor, Matrix, Numeric
from mixedmodels.formula.language.parse import ParsedFormula
from mixedmodels.formula.language.syntax_tree import Name, deparse, names_in
from mixedmodels.formula.language.terms import Terms

with on_first_use():
    from mixedmodels.formula.evaluation import spelled_numbers


def warn_about_formula(parsed: ParsedFormula, fixed: Terms, bars: Iterable[BarPlan]) -> None:
    """Warn where a formula means something else than it seems to, whatever the data."""
    for message in parsed.warnings:
        warn(message, FormulaWarning)
    if fixed.response_dropped and parsed.response is not None:
        message = f"the response {deparse(parsed.response)} is among the predictors and was dropped there"
        warn(message, FormulaWarning)
    if not fixed.by_dot:
        return
    groups = {name.name for bar in bars for name in names_in(bar.bar.group)}
    brought = [name for name in fixed.by_dot if name in groups]
    if brought:
        warn(
            f"'.' brings the grouping variable(s) {listed(brought)} in as fixed effects too; leave them out "
            f"with '. - {' - '.join(brought)}'",
            FormulaWarning,
        )


def warn_about_columns(fixed: Terms, bars: Iterable[BarPlan], columns: Mapping[str, Column]) -> None:
    """Warn about arithmetic that the formula language reads otherwise, and about numbers that are strings."""
    warn_about_terms([fixed, *{bar.lhs: bar.terms for bar in bars}.values()], columns)


def warn_about_terms(parts: Sequence[Terms], columns: Mapping[str, Column]) -> None:
    """Warn as `warn_about_columns`, about terms of any parts of a model."""
    _warn_lost_arithmetic(parts, columns)
    if not any(isinstance(column, Factor) and column.is_text for column in columns.values()):
        return
    spelled = {}
    for terms in parts:
        used = {i for pattern in terms.patterns for i in terms.members(pattern)}
        for i in sorted(used):
            name, column = terms.names[i], columns[terms.names[i]]
            if not (isinstance(column, Factor) and isinstance(terms.variables[i], Name)):
                continue
            if column.is_text and spelled_numbers.spells_numbers(column.levels):
                spelled[name] = column.levels
    for name, levels in spelled.items():
        warn_spelled(name, levels)


def warn_spelled(name: str, levels: Sequence[str]) -> None:
    """Warn that a predictor holds strings that are numbers."""
    warn(
        f"{name} holds strings that spell numbers ({listed(levels, 3)}) and enters as a factor of "
        f"{len(levels)} levels. Make it numeric with pd.to_numeric(data[{name!r}]); if it is meant as a "
        f"factor, write factor({name}) or use astype('category')",
        DataWarning,
    )


def _warn_lost_arithmetic(parts: Sequence[Terms], columns: Mapping[str, Column]) -> None:
    """Warn once about x^2 and x*x of numbers, which are x alone."""
    if not any(terms.collapsed for terms in parts):
        return
    lost = {
        text: name
        for terms in parts
        for text, name in terms.collapsed
        if isinstance(columns.get(name), (Numeric, Matrix))
    }
    outer = [text for text in lost if not any(text in other and text != other for other in lost)]
    if outer:
        read = " and ".join(f"'{text}' is '{lost[text]}'" for text in outer)
        arithmetic = " and ".join(f"I({text.replace(':', ' * ')})" for text in outer)
        warn(
            f"in a formula * : and ^ combine terms, so that {read}; for arithmetic write {arithmetic}",
            FormulaWarning,
        )
