"""Engines that are there only where they are installed; each is imported when its own object comes along."""

from __future__ import annotations

import importlib
from typing import Any

from mixedmodels.errors import NotAvailableError


def library(module: str, extra: str, what: str) -> Any:
    """Return an optional module.

    Parameters
    ----------
    module : str
        Its dotted name.
    extra : str
        The extra of this package that installs it.
    what : str
        What needs it, as the subject of a sentence in the plural.

    Raises
    ------
    NotAvailableError
        If it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise NotAvailableError(
            f"{what} need {module.partition('.')[0]}, the extra '{extra}': "
            f"pip install 'mixedmodels[{extra}]'."
        ) from None


def arrow(module: str = "", what: str = "Parquet and CSV files") -> Any:
    """Return pyarrow, or a module of it by its name within it.

    Raises
    ------
    NotAvailableError
        If pyarrow is not installed.
    """
    return library(f"pyarrow.{module}".rstrip("."), "arrow", what)


def made_by(value: object, package: str) -> bool:
    """Tell whether the class of a value, or one that it inherits from, comes from a package."""
    return any(kind.__module__.partition(".")[0] == package for kind in type(value).__mro__)
