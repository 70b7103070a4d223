"""The version that is installed."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Return the version that is installed; of a source tree that is not, say so."""
    try:
        return metadata.version("mixedmodels")
    except metadata.PackageNotFoundError:
        return "not installed"
