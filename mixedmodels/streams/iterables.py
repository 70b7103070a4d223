"""Frames one after the other: lists, generators and functions that return them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from mixedmodels.errors import DataError
from mixedmodels.streams.pandas_frames import frame_batches, is_frame, kinds_of_frame
from mixedmodels.streams.source import Batch, Part, require_rows


class FrameSource:
    """A table in memory, one piece.

    Parameters
    ----------
    frame : DataFrame, pyarrow Table or mapping of arrays
        The table.
    """

    once = False

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._kinds = kinds_of_frame(frame)

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> Sequence[Part] | None:
        """Return None: one piece of memory is not worth sending about."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches."""
        yield from require_rows(frame_batches(self._frame, columns, self._kinds, "the data"), "the data")


class FramesSource:
    """Frames one after the other; the first that has rows settles the types of all.

    Parameters
    ----------
    again : callable
        Returns an iterable of the frames, from the first.
    once : bool
        Whether it does so only once.
    noun : str
        What a frame is called in errors, before its number.
    """

    def __init__(self, again: Callable[[], Iterable[Any]], once: bool, noun: str = "frame") -> None:
        self.once = once
        self._again = again
        self._noun = noun
        self._waiting: Iterator[tuple[str, Any]] | None = None
        self._kinds: dict[str, str] | None = None
        self._is_spent = False

    def columns(self) -> dict[str, str]:
        """Return the kind of each column, as of the first frame."""
        if self._kinds is None:
            self._waiting = self._peek(self._frames())
        assert self._kinds is not None
        return dict(self._kinds)

    def parts(self) -> Sequence[Part] | None:
        """Return None: frames come one after the other."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches.

        Raises
        ------
        DataError
            If the rows have been read and cannot be read again.
        """
        kinds = self.columns()
        waiting, self._waiting = self._waiting, None
        frames = waiting if waiting is not None else self._frames()
        batches = (b for name, frame in frames for b in frame_batches(frame, columns, kinds, name))
        yield from require_rows(batches, "the iterable")

    def _frames(self) -> Iterator[tuple[str, Any]]:
        """Return the frames that have columns, with their names."""
        if self.once and self._is_spent:
            raise DataError(
                "the rows of a generator can be read only once, and have been read: pass a function that "
                "makes it anew, as in lambda: read_frames(), or a list"
            )
        self._is_spent = True
        made = self._again()
        if not isinstance(made, Iterable) or is_frame(made):
            raise DataError(f"the function given as data must return an iterable of frames, not {_a(made)}")
        return self._checked(made)

    def _checked(self, frames: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        for k, frame in enumerate(frames, 1):
            name = f"{self._noun} {k}"
            if not is_frame(frame):
                raise DataError(f"{name} of the iterable is {_a(frame)}, not a DataFrame")
            if len(frame):
                yield name, frame

    def _peek(self, frames: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Take the types from the first frame, and return all of them."""
        first = next(frames, None)
        if first is None:
            raise DataError("the iterable has no frame with rows")
        self._kinds = kinds_of_frame(first[1])
        return chain([first], frames)


def _a(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
