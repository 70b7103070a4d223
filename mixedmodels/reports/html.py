"""A notebook shows the same text as a terminal, in a fixed-width block."""

from __future__ import annotations

from html import escape


def preformatted(text: str) -> str:
    """Return `text` as a fixed-width HTML block.

    Examples
    --------
    >>> preformatted("a < b")
    '<pre>a &lt; b</pre>'
    """
    return f"<pre>{escape(text, quote=False)}</pre>"
