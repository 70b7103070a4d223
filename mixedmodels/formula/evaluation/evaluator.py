"""An evaluator that knows the functions of formulas, which are read when one is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixedmodels.deferred import on_first_use
from mixedmodels.formula.evaluation.columns import Value
from mixedmodels.formula.evaluation.evaluate import Evaluator, States
from mixedmodels.formula.evaluation.input_frames import InputFrame
from mixedmodels.formula.language.syntax_tree import Call

with on_first_use():
    from mixedmodels.formula.evaluation import functions


def formula_evaluator(
    frame: InputFrame, text: str, env: Mapping[str, Any], states: States, training: bool = True
) -> Evaluator:
    """Return an evaluator that knows the functions of formulas."""
    return Evaluator(frame, text, env, states, _apply_function, training)


def _apply_function(call: Call, context: Evaluator) -> Value:
    """Return the value of a call of a known function, or of one from `env`."""
    return functions.apply_function(call, context)
