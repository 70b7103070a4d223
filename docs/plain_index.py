"""Write ``llms.txt`` beside the site: its pages and the public names, a line each, for readers of plain text.

A Sphinx extension. Links lead to the sources of the pages, which hold all they show as text.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import mixedmodels as mm

HEAD = """# mixedmodels

> Linear and generalized linear mixed models in Python, with lme4's formulas, names and results, without R.

    import mixedmodels as mm
    model = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))

Every name below is in `mixedmodels`. Accessors are methods too: `model.fixef()` is `fixef(model)`.
"""

NOT_PROSE = ("#", "|", "* ", "- ", "!", ">", "<")


def what_it_says(text: str) -> str:
    """Return the first sentence of a page in Markdown; its headings, where it begins with one; or nothing."""
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    body = re.sub(r"^([`:]{3,}).*?^\1$", "", body, flags=re.DOTALL | re.MULTILINE)
    start, *sections = re.split(r"^## ", body, flags=re.MULTILINE)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", start)]
    prose = [part for part in paragraphs if part and not part.startswith(NOT_PROSE)]
    if prose:
        return re.split(r"(?<=[.?])\s", prose[0])[0]
    return "; ".join(section.partition("\n")[0] for section in sections)


def page_line(root: Path, page: Path) -> str:
    """Return the line of a page: its title, the place of its source, what it says; nothing of a bare list."""
    text = page.read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    name, says = page.relative_to(root).as_posix(), what_it_says(text)
    return f"- [{title[1] if title else name}](_sources/{name}.txt): {says}\n" if says else ""


def name_line(name: str) -> str:
    """Return the line of a public name: how it is called, and the first line of its docstring."""
    value = getattr(mm, name)
    call = ""
    if inspect.isroutine(value):
        call = f"({', '.join(inspect.signature(value).parameters)})"
    return f"- `{name}{call}`: {(inspect.getdoc(value) or '').partition(chr(10))[0]}\n"


def index_text(root: Path) -> str:
    """Return the index of the pages below `root` and of all public names."""
    pages = [page for page in sorted(root.rglob("*.md")) if not {"api", "_build"} & set(page.parts)]
    listed = "".join(page_line(root, page) for page in pages)
    names = "".join(name_line(name) for name in sorted(mm.__all__))
    return f"{HEAD}\n## Pages\n\n{listed}\n## Names\n\n{names}"


def write_index(app: Any, error: Exception | None) -> None:
    """Write the index into a site that was built."""
    if error is None and app.builder.name == "html":
        Path(app.outdir, "llms.txt").write_text(index_text(Path(app.srcdir)), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", write_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
