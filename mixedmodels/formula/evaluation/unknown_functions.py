"""What to say about a function that the formula language does not have, by what people know it from."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from mixedmodels.formula.language.bars import FOREIGN_STRUCTURES, STRUCTURES

_STRUCTURES = (
    f"the covariance structures around a bar are {', '.join(f'{name}()' for name in STRUCTURES)}, as in "
    "diag(x | g); a known covariance between levels is given by relmat={'g': K}"
)
_SMOOTH = "smooth terms are regression splines here: ns(x, df = 4) or bs(x, df = 5)"
_ROWS = "it looks at neighbouring rows; make the column first, for example with data.groupby(...)"
_POWER = "write arithmetic in I(), as I(x^2)"
_ADVICE: dict[str, str] = {
    **dict.fromkeys(FOREIGN_STRUCTURES, _STRUCTURES),
    **dict.fromkeys(("s", "te", "ti", "t2", "lo", "gam", "pb", "pbs", "tp"), _SMOOTH),
    **dict.fromkeys(("cr", "cc", "rcs", "rcspline", "nsp", "ncs"), "natural cubic splines are ns(x, df = 4)"),
    **dict.fromkeys(("bsp", "bspline", "pspline", "mSpline", "iSpline"), "B-splines are bs(x, df = 5)"),
    "Q": "write a name that is no plain word in backticks, as `a b`",
    **dict.fromkeys(("lag", "lead", "shift", "diff", "cumsum", "roll", "rolling", "rank", "rev"), _ROWS),
    **dict.fromkeys(("standardize", "zscore", "std", "rescale"), "scale(x) centres and divides by the SD"),
    **dict.fromkeys(("demean", "centre", "gmc"), "center(x) subtracts the mean"),
    **dict.fromkeys(("category", "categorical", "Categorical", "cat", "str"), "write factor(x)"),
    **dict.fromkeys(("int", "float", "to_numeric"), "write as.numeric(x)"),
    **dict.fromkeys(("pow", "power", "square", "sq"), _POWER),
    **dict.fromkeys(("where", "if_else", "case_when"), "write ifelse(test, yes, no)"),
    "logit": "write qlogis(x), or log(x/(1 - x))",
    "expit": "write plogis(x)",
    "mo": "monotonic effects are not available; ordered(x) gives polynomial contrasts",
    "trials": "write cbind(successes, failures) as the response",
    "Surv": "survival responses are not available",
    "fixed": "fixed effects are terms outside of the bars",
    "random": "random effects are written (x | g)",
    "re": "random effects are written (x | g)",
}
# A shorter or looser likeness than this is no likeness: s is not sd.
_SHORTEST_LIKENESS = 3
_LIKENESS = 0.75


def unknown_function(name: str, known: Iterable[str], with_bar: bool) -> str:
    """Return the message for a function that is neither in the table nor in `env`."""
    functions = list(known)
    last = name.split(".")[-1]
    if "." in name and last in functions:
        return f"unknown function '{name}': write {last}(...)"
    advice = _STRUCTURES if with_bar else _ADVICE.get(name) or _ADVICE.get(last)
    if advice is not None:
        return f"unknown function '{name}': {advice}"
    alike = functions if len(name) >= _SHORTEST_LIKENESS else []
    near = get_close_matches(name, alike, n=1, cutoff=_LIKENESS)
    hint = f"; did you mean {near[0]}?" if near else "; pass your own in env={'" + name + "': ...}"
    return f"unknown function '{name}'{hint}"
