"""Which names of a nonlinear mean are its parameters, and the terms that each of them depends on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixedmodels.arrays import IntArray
from mixedmodels.errors import FormulaError, listed
from mixedmodels.formula.design.coding import CodedTerm, MatrixRecipe, VariableCoding, matrix_recipe
from mixedmodels.formula.evaluation.columns import Column
from mixedmodels.formula.evaluation.evaluate import CONSTANTS
from mixedmodels.formula.evaluation.input_frames import InputFrame
from mixedmodels.formula.evaluation.self_starting import inputs_of
from mixedmodels.formula.language.nonlinear import NonlinearFormula, ParameterFormula
from mixedmodels.formula.language.syntax_tree import (
    Call,
    Name,
    Node,
    Number,
    children,
    deparse,
    names_in,
)
from mixedmodels.formula.language.terms import Terms, expand_terms

#: The variable that an intercept is made of, in the matrix of several parameters.
ONES = "1"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ParameterTerms:
    """A parameter and the terms that it, or its random effects, depend on."""

    parameter: str
    terms: Terms

    def variables(self) -> dict[str, Node]:
        """Return printed variable -> expression, of those that some term is made of."""
        used = {i for pattern in self.terms.patterns for i in self.terms.members(pattern)}
        return {self.terms.names[i]: self.terms.variables[i] for i in sorted(used)}


def parameters_of(
    read: NonlinearFormula, frame: InputFrame, env: Mapping[str, Any], start: Sequence[str]
) -> tuple[str, ...]:
    """Return the parameters of a mean: names that were declared, and those that are nowhere else.

    Parameters
    ----------
    read : NonlinearFormula
        The model.
    frame : InputFrame
        The table; a column is no parameter, unless it is declared one.
    env : mapping
        Names that the caller passed.
    start : sequence of str
        Names that `start` gives values to.

    Raises
    ------
    FormulaError
        If a name is declared that the mean does not have, or the mean has no parameter.
    """
    inside = list(dict.fromkeys(name.name for name in names_in(read.mean)))
    fixed = [name for part in read.fixed for name in part.parameters]
    parts = [part for term in read.random for part in term.parts]
    for part in (*read.fixed, *parts):
        _refuse_strangers(part, inside, read.mean)
    random = (name for part in parts for name in part.parameters)
    declared = {*fixed, *random, *(name for name in start if name in inside)}
    elsewhere = {*frame.names, *env, *CONSTANTS}
    found = [name for name in inside if name in declared or name not in elsewhere]
    _require_inputs(read.mean, frame, env, declared)
    if not found:
        raise FormulaError(
            f"the mean {deparse(read.mean)} has no parameters: every name in it is a column of the data; "
            "name its parameters in start= or fixed=",
            read.text,
        )
    for order in (fixed, list(start)):
        if set(found) <= set(order):
            found = [name for name in dict.fromkeys(order) if name in found]
            break
    return tuple(found)


def _refuse_strangers(part: ParameterFormula, inside: list[str], mean: Node) -> None:
    for name in part.parameters:
        if name not in inside:
            near = difflib.get_close_matches(name, inside, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise FormulaError(
                f"{name} is no parameter of the mean {deparse(mean)}{hint}", part.text, part.text.find(name)
            )


def _require_inputs(node: Node, frame: InputFrame, env: Mapping[str, Any], declared: set[str]) -> None:
    """Raise where a variable of a self-starting model is not in the data."""
    if isinstance(node, Call):
        names = [name.name for argument in inputs_of(node) for name in names_in(argument)]
        frame.require(names, {*env, *CONSTANTS, *declared})
    for child in children(node):
        _require_inputs(child, frame, env, declared)


def fixed_terms(read: NonlinearFormula, parameters: tuple[str, ...]) -> list[ParameterTerms]:
    """Return the terms of the fixed effects of every parameter, in the order of the parameters.

    A parameter that nothing is said about is a constant.
    """
    found: dict[str, Terms] = {}
    for part in read.fixed:
        for one in _of_part(part):
            if one.parameter in found:
                raise FormulaError(f"fixed= has two formulas for {one.parameter}", part.text, 0)
            found[one.parameter] = one.terms
    if read.added is not None:
        for one in terms_by_parameter(read.added, parameters, read.text):
            if one.parameter in found:
                raise FormulaError(
                    f"{one.parameter} has terms in the formula and in fixed=; keep one of them", read.text
                )
            found[one.parameter] = replace(one.terms, intercept=True)
    constant = expand_terms(Number(1.0), read.text)
    return [ParameterTerms(name, found.get(name, constant)) for name in parameters]


def random_terms_of(
    lhs: Node, parts: tuple[ParameterFormula, ...], parameters: tuple[str, ...], text: str
) -> list[ParameterTerms]:
    """Return the terms of the random effects of a bar, parameter after parameter as they are written."""
    if not parts:
        return list(terms_by_parameter(lhs, parameters, text))
    found = [one for part in parts for one in _of_part(part)]
    names = [one.parameter for one in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise FormulaError(f"{twice[0]} stands twice in one random-effects term", text, 0)
    return found


def _of_part(part: ParameterFormula) -> Iterator[ParameterTerms]:
    terms = expand_terms(part.right, part.text)
    if terms.offsets:
        raise FormulaError(
            "offset() cannot stand in what a parameter depends on; add it in the mean", part.text
        )
    if not terms.intercept and not terms.patterns:
        raise FormulaError("'~ 0' leaves nothing for the parameter to depend on", part.text)
    for name in part.parameters:
        yield ParameterTerms(name, terms)


def terms_by_parameter(node: Node, parameters: tuple[str, ...], text: str) -> Iterator[ParameterTerms]:
    """Yield the terms of each parameter in lme4's form: ``A + A:x`` is A with an effect of x.

    Raises
    ------
    FormulaError
        If a term names no parameter, or several.
    """
    terms = expand_terms(node, text)
    if terms.offsets:
        raise FormulaError("offset() cannot stand beside the parameters; add it in the mean", text)
    own: dict[str, list[int]] = {}
    for pattern in terms.patterns:
        held = [i for i in terms.members(pattern) if _is_parameter(terms.variables[i], parameters)]
        if len(held) != 1:
            label = terms.label(pattern)
            what = (
                f"names no parameter of the mean ({listed(parameters)}); write {parameters[0]}:{label} for "
                f"an effect on {parameters[0]}"
                if not held
                else "names two parameters of the mean; a term belongs to one"
            )
            raise FormulaError(f"{label} {what}", text, _place(node, label))
        own.setdefault(terms.names[held[0]], []).append(pattern & ~(1 << held[0]))
    if not own:
        raise FormulaError(
            f"{deparse(node)} names no parameter of the mean ({listed(parameters)})", text, _place(node, "")
        )
    for name, patterns in own.items():
        rest = tuple(pattern for pattern in patterns if pattern)
        yield ParameterTerms(_bare(name), replace(terms, patterns=rest, intercept=0 in patterns))


def _is_parameter(node: Node, parameters: tuple[str, ...]) -> bool:
    return isinstance(node, Name) and node.name in parameters


def _bare(name: str) -> str:
    return name.strip("`")


def _place(node: Node, name: str) -> int:
    """Return where a name stands, or where the expression begins."""
    places = [n.position for n in names_in(node)]
    named = [n.position for n in names_in(node) if n.name == name]
    return next(iter(named or places), getattr(node, "position", 0))


def joined_recipe(
    parts: Iterable[ParameterTerms],
    parameters: tuple[str, ...],
    columns: Mapping[str, Column],
    contrasts: Mapping[str, Any],
) -> tuple[MatrixRecipe, IntArray]:
    """Return the recipe of one matrix with the columns of all parts, and the parameter of each column.

    The columns of a parameter that is constant have its name, others are ``Asym.(Intercept)``, ``Asym.x``.
    """
    variables: list[VariableCoding] = []
    terms: list[CodedTerm] = []
    names: list[str] = []
    assign: list[int] = []
    owner: list[int] = []
    for part in parts:
        own = matrix_recipe(part.terms, columns, contrasts)
        first = len(variables)
        # An intercept is a variable like the others here, so that each parameter can have one.
        variables += [VariableCoding(ONES, ("",)), *own.variables]
        if own.intercept:
            terms.append(CodedTerm(1 << first, ((first, False),)))
        for term in own.terms:
            factors = tuple((i + first + 1, full) for i, full in term.factors)
            terms.append(CodedTerm(term.pattern << (first + 1), factors))
        alone = own.names == ("(Intercept)",)
        names += [part.parameter if alone else f"{part.parameter}.{name}" for name in own.names]
        assign += [pattern << (first + 1) if pattern else 1 << first for pattern in own.assign]
        owner += [parameters.index(part.parameter)] * len(own.names)
    recipe = MatrixRecipe(False, tuple(variables), tuple(terms), tuple(names), tuple(assign))
    return recipe, np.array(owner, dtype=np.intp)
