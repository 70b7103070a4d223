"""Progress of long work: a bar where tqdm is installed and someone is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from mixedmodels.errors import ControlError


def _draw(**options: Any) -> Any:
    """Draw a bar."""
    from tqdm.auto import tqdm as bar  # deferred: it brings asyncio, 0.1 s, and most fits draw none

    return bar(**options)


#: What draws a bar; None where tqdm is not installed.
tqdm: Callable[..., Any] | None = None if find_spec("tqdm") is None else _draw


def _is_watched() -> bool:
    """Tell whether there is a terminal or a notebook to draw a bar in."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def can_draw() -> bool:
    """Tell whether there is a bar to draw and someone to see it."""
    return tqdm is not None and _is_watched()


class Stopped(KeyboardInterrupt):
    """Ctrl-C amid a piece of work.

    Parameters
    ----------
    part : object
        The result of what is done of the piece.
    count : int
        How much that is.
    """

    def __init__(self, part: Any, count: int) -> None:
        super().__init__()
        self.part, self.count = part, count


#: Seconds after which a bar is drawn for work that is quick as a rule.
PATIENCE = 3.0


class Progress:
    """Count work that is done, in a bar if there is one.

    Parameters
    ----------
    total : int
        Pieces of work.
    show : bool, optional
        Whether to draw a bar; by default where tqdm is installed and a terminal or notebook is there.
    label : str
        What is being done.
    delay : float
        Seconds before the bar is drawn.

    Raises
    ------
    ControlError
        If a bar is asked for and tqdm is not installed.

    Examples
    --------
    >>> with Progress(10, show=False) as progress:
    ...     progress.add(10)
    >>> progress.done
    10
    """

    def __init__(self, total: int, show: bool | None = None, label: str = "", delay: float = 0.0) -> None:
        if show not in (None, True, False):
            raise ControlError(f"progress must be True, False or None, not {show!r}.")
        if show and tqdm is None:
            raise ControlError("progress=True needs tqdm: pip install tqdm.")
        self.done = 0
        wanted = can_draw() if show is None else show
        self._bar: Any = None
        if wanted and tqdm is not None:
            self._bar = tqdm(total=total, desc=label or None, delay=delay)

    def add(self, n: int = 1) -> None:
        """Count n more pieces."""
        self.done += n
        if self._bar is not None:
            self._bar.update(n)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
