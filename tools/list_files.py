"""Write the list of files in CONTRIBUTING.md from the first sentence of each module's docstring.

python tools/list_files.py            rewrite the list
python tools/list_files.py --check    only say whether it is up to date (exit code 1 if not)
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- files:begin -->", "<!-- files:end -->"

# The rooms, in the order in which imports run.
ROOMS = (
    "foreign",
    "covariance",
    "covariance/residual",
    "kernels",
    "streams",
    "formula",
    "formula/language",
    "formula/evaluation",
    "formula/design",
    "families",
    "factorization",
    "factorization/constant",
    "factorization/weighted",
    "factorization/sparse",
    "optimization",
    "engines",
    "engines/linear",
    "engines/generalized",
    "engines/gee",
    "engines/gee/correlation",
    "engines/glm",
    "engines/residual",
    "engines/moments",
    "engines/nonlinear",
    "engines/nonlinear_family",
    "reports",
    "fits",
    "sql",
    "prediction",
    "inference",
    "inference/profile",
    "inference/emmeans",
    "inference/gee",
    "diagnostics",
    "diagnostics/checks",
    "diagnostics/scaled",
    "tidy",
    "plots",
    "models",
    "power",
    "replication",
    "certification",
    "command",
)


def headline(path: Path) -> str:
    """Return the first line of a module's docstring, without its full stop."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.split("\n")[0].rstrip(".")


def modules_of(folder: Path) -> list[Path]:
    """Return the modules of one folder, its sub-folders left out."""
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def room(folder: Path, title: str) -> str:
    """Return the heading of a folder and a line for each of its modules."""
    lines = [f"* `{path.relative_to(ROOT)}`: {headline(path)}" for path in modules_of(folder)]
    return "\n".join([f"### {title}", "", *lines, ""]) if lines else f"### {title}\n"


def listing() -> str:
    """Return the whole list as Markdown."""
    package = ROOT / "mixedmodels"
    unlisted = {
        str(path.parent.relative_to(package))
        for path in package.rglob("__init__.py")
        if path.parent != package
    } - set(ROOMS)
    if unlisted:
        raise SystemExit(f"tools/list_files.py: add to ROOMS: {', '.join(sorted(unlisted))}")
    parts = [room(package, "The front door")]
    for name in ROOMS:
        parts.append(room(package / name, f"{name}/: {headline(package / name / '__init__.py')}"))
    return "\n".join(parts)


def with_listing(text: str) -> str:
    """Return the document with its list of files made anew."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{listing()}\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Rewrite the list, or check it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    new = with_listing(text)
    if "--check" in sys.argv[1:]:
        return int(new != text)
    DOCUMENT.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
