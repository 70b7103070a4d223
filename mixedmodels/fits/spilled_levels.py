"""Rows of numbers in files of some levels each: what is grouped is read again level by level."""

from __future__ import annotations

import os
import tempfile
from typing import IO

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import DataError

#: Files that the rows are divided among: a part of 100 million rows is then some 20 MB.
FILES = 256


class SpilledLevels:
    """Rows in temporary files, those of a level together, until they are given up.

    Parameters
    ----------
    width : int
        Numbers in a row.
    n_files : int, optional
        Levels are dealt out to so many files, level k to file ``k % n_files``.

    Raises
    ------
    DataError
        Where the disk is full.
    """

    def __init__(self, width: int, n_files: int | None = None) -> None:
        self.n_files = FILES if n_files is None else n_files
        self.width = width
        self._folder = tempfile.TemporaryDirectory(prefix="mixedmodels-")
        self._open: dict[int, IO[bytes]] = {}

    def add(self, codes: IntArray, values: FloatArray) -> None:
        """Append rows.

        Parameters
        ----------
        codes : ndarray of int, shape (n,)
            Levels.
        values : ndarray, shape (n, width)
            The rows.
        """
        rows = np.column_stack([codes.astype(np.float64), values])
        which = codes % self.n_files
        order = np.argsort(which, kind="stable")
        rows, which = rows[order], which[order]
        starts = np.append(np.flatnonzero(np.diff(which, prepend=-1)), len(which))
        try:
            for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
                self._file(int(which[start])).write(rows[start:end].tobytes())
        except OSError as error:
            raise DataError(f"rows cannot be put aside in {self._folder.name}: {error.strerror}.") from error

    def _file(self, k: int) -> IO[bytes]:
        if k not in self._open:
            self._open[k] = open(self._path(k), "ab")  # noqa: SIM115 - open until all is written
        return self._open[k]

    def _path(self, k: int) -> str:
        return os.path.join(self._folder.name, str(k))

    def files(self) -> tuple[int, ...]:
        """Return the numbers of the files that have rows, after which none can be added."""
        for file in self._open.values():
            file.close()
        return tuple(sorted(self._open))

    def rows(self, k: int) -> FloatArray:
        """Return the rows of a file, each after the number of its level, shape (n, 1 + width)."""
        return np.fromfile(self._path(k)).reshape(-1, self.width + 1)

    def give_up(self) -> None:
        """Delete the files."""
        self.files()
        self._folder.cleanup()

    def replace(self, k: int, rows: FloatArray) -> None:
        """Put rows in place of those of a file."""
        rows.tofile(self._path(k))
