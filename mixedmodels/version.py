"""Which version of a package is installed."""

from __future__ import annotations

from importlib import metadata


def version(package: str = "mixedmodels") -> str:
    """Return the version of a package that is installed, or say that none is."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
