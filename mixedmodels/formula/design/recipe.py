"""What is needed to build the columns of a fitted model again, as records."""

from __future__ import annotations

from dataclasses import dataclass

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.formula.design.coding import MatrixRecipe
from mixedmodels.formula.evaluation.environment import Environment
from mixedmodels.formula.evaluation.evaluate import States
from mixedmodels.formula.language.syntax_tree import Node


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RandomRecipe:
    """How to build a random-effects term from new data.

    Attributes
    ----------
    matrix : MatrixRecipe
        Of the left side of the bar (the whole left side of ``||``).
    selected : tuple of int
        The columns of that matrix which belong to this term.
    group : Node
        The grouping factor.
    places : ndarray, shape (S, d), or None
        Coordinates of the places that have a coefficient each, of a process over places; None elsewhere.
    """

    matrix: MatrixRecipe
    selected: tuple[int, ...]
    group: Node
    places: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Recipe:
    """The training state of a design.

    Attributes
    ----------
    text : str
        The formula, for messages.
    env : Environment
        Names the caller passed in.
    states : States
        State of the transformations, and levels and kinds of the columns.
    fixed : MatrixRecipe
        Of the fixed-effects matrix, dependent columns included.
    kept : ndarray of int
        Its columns that are in the model.
    dependence : ndarray, shape (p, dropped), or None
        The dropped columns as combinations of those kept, on the data of the fit; None where there are none.
    variables : dict
        Printed variable -> expression, for every variable of the fixed part and the bars.
    offsets : tuple of Node
        What stands inside the ``offset()`` terms.
    offset_argument : str or None
        The offset argument, when it was a name or an expression.
    offset_is_array : bool
        Whether the offset argument was an array, which new data cannot repeat.
    random : tuple of RandomRecipe
        One for each random-effects term, in the order of the design.
    """

    text: str
    env: Environment
    states: States
    fixed: MatrixRecipe
    kept: IntArray
    dependence: FloatArray | None
    variables: dict[str, Node]
    offsets: tuple[Node, ...]
    offset_argument: str | None
    offset_is_array: bool
    random: tuple[RandomRecipe, ...]
