"""What a bug report needs to know about an installation."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path

from mixedmodels.advice import advises
from mixedmodels.version import version

#: Packages whose versions matter to a fit or to what is made of one.
PACKAGES = (
    "mixedmodels", "numpy", "scipy", "pandas", "formulaic", "narwhals", "threadpoolctl", "scikit-sparse",
    "polars", "pyarrow", "matplotlib", "tqdm", "maketables", "scikit-learn",
    "marginaleffects",
)  # fmt: skip
KERNELS = Path(__file__).with_name("kernels")


@advises
def show_versions() -> None:
    """Print versions, kernels, BLAS and threads, as a bug report needs them.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> mm.show_versions()  # doctest: +ELLIPSIS
    mixedmodels   ...
    """
    facts = {name: version(name) for name in PACKAGES}
    facts |= {"kernels": _kernels(), "BLAS": _blas(), "python": sys.version.split()[0]}
    facts |= {"system": f"{platform.system()} {platform.machine()}", "cores": str(os.cpu_count())}
    print("\n".join(f"{name:13} {value}" for name, value in facts.items()))


def _kernels() -> str:
    """Return which inner loops are compiled."""
    names = sorted(path.stem for path in KERNELS.glob("_*.pyx"))
    compiled = [name[1:] for name in names if importlib.util.find_spec(f"mixedmodels.kernels.{name}")]
    if len(compiled) == len(names):
        return f"compiled ({', '.join(compiled)})"
    return f"compiled: {', '.join(compiled)}; the others are NumPy" if compiled else "NumPy"


def _blas() -> str:
    """Return the linear algebra libraries in use with their numbers of threads."""
    from threadpoolctl import threadpool_info

    found = {
        f"{pool['internal_api']} {pool.get('version')}, {pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return "; ".join(sorted(found)) or "unknown"
