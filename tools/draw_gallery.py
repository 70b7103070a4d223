"""Draw the pictures of docs/gallery.md from the code that stands there.

python tools/draw_gallery.py            into docs/_gallery
python tools/draw_gallery.py FOLDER     into another folder

The code before each image is run, and what it calls `picture` is saved under the name of the image.
"""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gallery.md"
IMAGE = re.compile(r"^!\[[^\]]*\]\(_gallery/([\w-]+\.png)\)$", re.MULTILINE)
DPI = 100


def draw(folder: Path) -> list[Path]:
    """Return the files that the page's pictures were saved to."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    parts = IMAGE.split(PAGE.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    files = []
    for text, image in zip(parts[::2], parts[1::2], strict=False):
        for example in doctest.DocTestParser().get_examples(text):
            exec(compile(example.source, str(PAGE), "single"), names)
        names["picture"].figure.savefig(folder / image, dpi=DPI)
        plt.close("all")
        files.append(folder / image)
    return files


def main() -> None:
    """Draw the gallery and say where."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE.parent / "_gallery"
    for file in draw(folder):
        print(f"{file} {file.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
