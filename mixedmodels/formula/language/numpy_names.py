"""Functions of NumPy and of the math module that the formula language has under R's name: ``np.log(x)``."""

from __future__ import annotations

_PACKAGES = ("np", "numpy", "math")
_SAME = (
    "abs cos cosh exp expm1 floor log log10 log1p log2 max mean median min round sign sin sinh sqrt sum "
    "tan tanh trunc"
)
_RENAMED = {
    "absolute": "abs", "fabs": "abs", "ceil": "ceiling", "around": "round", "amax": "max", "amin": "min",
    "arccos": "acos", "arcsin": "asin", "arctan": "atan", "acos": "acos", "asin": "asin", "atan": "atan",
    "maximum": "pmax", "minimum": "pmin", "where": "ifelse",
}  # fmt: skip
#: Name in the language, by name as Python programs write it; not of std and var, which divide by n there.
NUMPY_NAMES = {
    f"{package}.{name}": ours
    for package in _PACKAGES
    for name, ours in ({name: name for name in _SAME.split()} | _RENAMED).items()
}


def name_in_the_language(name: str) -> str:
    """Return the language's name of a function that was typed as NumPy's.

    Examples
    --------
    >>> name_in_the_language("np.ceil"), name_in_the_language("log")
    ('ceiling', 'log')
    """
    return NUMPY_NAMES.get(name, name)
