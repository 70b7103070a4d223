"""Draw the pictures of the pages from the code that stands before each.

A Sphinx extension: when a site is built, its pictures are drawn anew, and one that cannot be drawn stops the
build. The copies in docs/_gallery are for who reads the pages in the repository: ``python docs/pictures.py``
draws these.

The code of a page is run in order, and what it calls `picture` is saved under the name of the image that
follows. An image without such code before it is drawn by another page.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
IMAGE = re.compile(r"^!\[[^\]]*\]\((?:\.\./)?_gallery/([\w-]+\.png)\)$", re.MULTILINE)
#: How the code of a page says what to save.
ASSIGNED = ">>> picture = "
DPI = 100


def drawn_by(page: Path) -> list[str]:
    """Return the names of the images that a page draws itself."""
    parts = IMAGE.split(page.read_text(encoding="utf-8"))
    return [image for text, image in zip(parts[::2], parts[1::2], strict=False) if ASSIGNED in text]


def pages(root: Path) -> list[Path]:
    """Return the pages below `root`."""
    return [page for page in sorted(root.rglob("*.md")) if "_build" not in page.parts]


def pictures_of(page: Path, folder: Path) -> list[Path]:
    """Save the pictures that a page draws, and return the files."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    parts = IMAGE.split(page.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    files = []
    for text, image in zip(parts[::2], parts[1::2], strict=False):
        with contextlib.redirect_stdout(io.StringIO()):
            for example in doctest.DocTestParser().get_examples(text):
                exec(compile(example.source, str(page), "single"), names)
        if ASSIGNED in text:
            names["picture"].figure.savefig(folder / image, dpi=DPI)
            files.append(folder / image)
        plt.close("all")
    return files


def draw(root: Path, folder: Path) -> list[Path]:
    """Return the files that the pictures of all pages below `root` were saved to."""
    folder.mkdir(parents=True, exist_ok=True)
    return [file for page in pages(root) if drawn_by(page) for file in pictures_of(page, folder)]


def draw_for_site(app: Any, error: Exception | None) -> None:
    """Draw the pictures of a site that was built in place of the copies that it was built with."""
    if error is None and app.builder.name == "html":
        draw(Path(app.srcdir), Path(app.outdir, "_images"))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", draw_for_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    for file in draw(DOCS, DOCS / "_gallery"):
        print(f"{file.relative_to(DOCS)} {file.stat().st_size // 1024} kB")
