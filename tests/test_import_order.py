"""Imports run one way, from arrays to the calls: each room only from those before it, never in a circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mixedmodels"

# Rooms from the first to the last; those on one line know nothing of each other. A module belongs to the
# longest name that fits.
ORDER = (
    ("arrays", "deferred", "errors", "missing", "foreign", "version"),
    ("absent_rows", "level_sums"),
    ("advice", "differences"),
    ("versions",),
    ("control", "datasets", "machine", "progress"),
    ("parallel",),
    ("covariance", "kernels", "streams"),
    ("formula.language",),
    ("formula.evaluation",),
    ("formula.design",),
    ("formula",),
    ("families", "factorization", "optimization"),
    ("engines", "reports"),
    ("fits",),
    ("prediction",),
    ("inference",),
    ("diagnostics",),
    ("tidy",),
    ("plots",),
    ("checks", "separation_checks"),
    ("request", "nonlinear_request", "generalized_request"),
    ("models",),
    ("sql",),
    ("moments",),
    ("linear_request",),
    ("lmer_of_sums",),
    ("lm_of_sums",),
    ("glmer_of_parts",),
    ("glmer_of_counts",),
    ("glm_of_counts",),
    ("lmer", "glm", "lm", "lm_list", "gls", "mmrm", "gee", "nlmer"),
    ("glmer",),
    ("update", "specify", "sklearn"),
    ("simulate", "power"),
    (
        "replication",
        "certification",
    ),
    ("command",),
    ("__main__",),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}


def module_name(path):
    """Return the dotted name of a module, without the package's own."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def room_of(module):
    """Return the room a module belongs to."""
    parts = module.split(".")
    names = [".".join(parts[: k + 1]) for k in range(len(parts))]
    return max((name for name in names if name in RANK), key=len)


def imports_of(path):
    """Return the modules of the package that a module imports, wherever in it and for types alone too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mixedmodels":
            base = node.module.partition(".")[2]
            for alias in node.names:
                inner = f"{base}.{alias.name}".strip(".")
                found.add(inner if inner in MODULES else base)
    return found


# The front door knows everything by name, and nothing inside knows the front door.
GRAPH = {name: imports_of(path) for name, path in MODULES.items() if name}


@pytest.mark.parametrize("module", sorted(GRAPH))
def test_a_module_imports_only_from_its_own_room_and_those_before(module):
    room = room_of(module)
    allowed = {other for other in RANK if RANK[other] < RANK[room]} | {room}
    assert {name for name in GRAPH[module] if room_of(name) not in allowed} == set()


def test_no_import_runs_in_a_circle():
    left = dict(GRAPH)
    while left:
        free = [name for name, needs in left.items() if not (needs & left.keys()) - {name}]
        assert free, f"these import each other: {sorted(left)}"
        for name in free:
            del left[name]


def test_no_function_imports_when_it_is_called():
    late = {
        f"{name}: line {inner.lineno}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("mixedmodels")
    }
    assert late == set()
