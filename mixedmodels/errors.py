"""Exceptions and warnings, named by the phase of a fit that raises them.

Every exception derives from :class:`MixedModelsError`; those about what the caller passed also derive
from :class:`ValueError`, so that ``except ValueError`` works as a pandas or SciPy user expects.
"""

import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

# As many names as a reader takes in; a message that lists more of them hides what it says.
MOST_LISTED = 10

# Code of the package, in which no warning is the reader's own.
_PACKAGE = f"{Path(__file__).parent}{os.sep}"


class MixedModelsError(Exception):
    """Base class of every exception raised on purpose by the package."""


class FormulaError(MixedModelsError, ValueError):
    """Report a formula that cannot be understood, pointing at the place in the text.

    Parameters
    ----------
    message : str
        What is wrong, what was expected and how to fix it.
    text : str, optional
        The formula as the user typed it.
    position : int, optional
        Zero-based offset in `text` of the offending character.
    """

    def __init__(self, message: str, text: str | None = None, position: int | None = None) -> None:
        self.message = message
        self.text = text
        self.position = position
        super().__init__(message if text is None else f"{message}\n{_caret(text, position)}")


class DataError(MixedModelsError, ValueError):
    """Report data that a model cannot be fitted to: a missing column, a wrong length, an infinite value."""


class FamilyError(MixedModelsError, ValueError):
    """Report an unknown family or link, or a response outside the range of its family."""


class ControlError(MixedModelsError, ValueError):
    """Report an option whose value is not among those allowed."""


class UnknownArgumentError(ControlError, TypeError):
    """Report an argument that a function does not have, and what to write in its place.

    A :class:`TypeError` too, as Python's own report of such an argument is.
    """


class MissingArgumentError(ControlError, TypeError):
    """Report an argument that a call needs and does not have, or has twice.

    A :class:`TypeError` too, as Python's own report of such a call is.
    """


class UnknownNameError(MixedModelsError, AttributeError):
    """Report a name that a model or the package does not have, and what to write in its place.

    An :class:`AttributeError` too, so that ``hasattr`` and ``getattr`` with a default work as ever.
    """


class ConvergenceError(MixedModelsError, RuntimeError):
    """Report a fit that could not be computed at all, with what was tried."""


class NotAvailableError(MixedModelsError, ValueError):
    """Report a quantity that the model does not define, such as the likelihood of a PQL fit."""


class MixedModelsWarning(UserWarning):
    """Base class of every warning issued by the package."""


class FormulaWarning(MixedModelsWarning):
    """Warn that a formula is legal but is read differently from what it looks like."""


class DataWarning(MixedModelsWarning):
    """Warn about data that are used, but hardly as meant."""


class ConvergenceWarning(MixedModelsWarning):
    """Warn that the optimum was not reached; never issued for a singular fit as such."""


class IdentificationWarning(MixedModelsWarning):
    """Warn that an optimum is one of many: the data cannot tell some parameters apart."""


class ApproximationWarning(MixedModelsWarning):
    """Warn that an optimum is one of too coarse an approximation of the likelihood."""


def listed(names: Iterable[object], most: int = MOST_LISTED) -> str:
    """Return names joined by commas, the first `most` of them and how many more there are.

    Examples
    --------
    >>> listed("abcde", 3)
    'a, b, c, ... (2 more)'
    """
    texts = [str(name) for name in names]
    hidden = len(texts) - most
    return ", ".join(texts) if hidden <= 0 else f"{', '.join(texts[:most])}, ... ({hidden} more)"


def _caret(text: str, position: int | None) -> str:
    """Return `text` with a caret under `position`, on one line whatever white space it holds."""
    line = "".join(" " if c in "\n\r\t\v\f" else c for c in text)
    return f"    {line}" if position is None else f"    {line}\n    {' ' * position}^"


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line outside the package that led here, however deep inside it the reason was found."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
