"""Which files a path, a pattern, a directory or a list of them means."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from mixedmodels.errors import DataError, listed
from mixedmodels.streams.libraries import arrow

PARQUET, CSV = "parquet", "csv"
#: Endings of file names, without the ending of a compression.
_FORMATS = {".parquet": PARQUET, ".pq": PARQUET, ".parq": PARQUET, ".csv": CSV, ".tsv": CSV, ".txt": CSV}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br")
#: The first bytes of a Parquet file.
_PARQUET_MARK = b"PAR1"
#: What hive writes for a missing key.
_NO_KEY = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a table.

    Attributes
    ----------
    path : str
        Where it is, as its file system has it.
    name : str
        What it is called, as the user does.
    keys : tuple of (str, str or None)
        Columns that the names of its directories give, as in `year=2024/`.
    system : object or None
        The file system of pyarrow, None for files of this machine.
    """

    path: str
    name: str
    keys: tuple[tuple[str, str | None], ...] = ()
    system: Any = None


def list_files(where: Any) -> tuple[str, list[File]]:
    """Return the format and the files of a path, a pattern, a directory or a list of them.

    Raises
    ------
    DataError
        If there is no such file, or files of several formats.
    """
    places = list(where) if isinstance(where, Sequence) and not isinstance(where, str) else [where]
    files = [file for place in places for file in _files_of(os.fspath(place))]
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the file {twice!r} is given twice: its rows would count twice")
    formats = {file.name: _format(file) for file in files}
    if len(set(formats.values())) > 1:
        one, other = (next(n for n, f in formats.items() if f == kind) for kind in (PARQUET, CSV))
        raise DataError(
            f"the files are of several formats: {one} is Parquet, {other} is text; give those of one"
        )
    return next(iter(formats.values())), files


def _files_of(place: str) -> list[File]:
    if "://" in place:
        return _remote_files(place)
    if os.path.isdir(place):
        found = [File(str(p), str(p), _keys(p.relative_to(place).parts[:-1])) for p in _inside(Path(place))]
        if not found:
            raise DataError(f"the directory {place!r} has no data files")
        return found
    if os.path.exists(place):
        return [File(place, place)]
    matches = [m for m in sorted(glob.glob(place, recursive=True)) if os.path.isfile(m)]
    if not matches:
        advice = ": the formula comes first, then the data" if "~" in place else ""
        what = "no file matches" if glob.has_magic(place) else "there is no file"
        raise DataError(f"{what} {place!r}{advice}")
    return [File(m, m) for m in matches]


def _inside(folder: Path) -> list[Path]:
    """Return the data files in a directory and below it, without those that writers mark by . or _."""
    found = (p for p in folder.rglob("*") if p.is_file())
    return sorted(p for p in found if not any(part[0] in "._" for part in p.relative_to(folder).parts))


def _remote_files(place: str) -> list[File]:
    """Return the files of an address such as s3://bucket/rows.parquet."""
    fs = arrow("fs")
    try:
        system, path = fs.FileSystem.from_uri(place)
        info = system.get_file_info(path)
        if info.type == fs.FileType.File:
            return [File(path, place, (), system)]
        selected = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    except (arrow().ArrowException, OSError, ValueError) as error:
        raise DataError(f"{place!r} cannot be read: {error}") from error
    inside = {
        i.path: PurePosixPath(i.path).relative_to(path).parts for i in selected if i.type == fs.FileType.File
    }
    kept = {p: parts for p, parts in sorted(inside.items()) if not any(part[0] in "._" for part in parts)}
    if not kept:
        raise DataError(f"there is no file {place!r}")
    return [File(p, f"{place.rstrip('/')}/{'/'.join(s)}", _keys(s[:-1]), system) for p, s in kept.items()]


def _keys(folders: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """Return the columns that names of directories give."""
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return tuple((unquote(k), None if v == _NO_KEY else unquote(v)) for k, v in pairs)


def _format(file: File) -> str:
    suffixes = [s.lower() for s in PurePosixPath(file.name).suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    if suffixes and suffixes[-1] in _FORMATS:
        return _FORMATS[suffixes[-1]]
    if file.system is None:
        with Path(file.path).open("rb") as opened:
            if opened.read(len(_PARQUET_MARK)) == _PARQUET_MARK:
                return PARQUET
    raise DataError(
        f"{file.name!r} is read neither as Parquet nor as text: its name must end in {listed(_FORMATS)}"
    )


def key_kinds(files: Sequence[File]) -> dict[str, str]:
    """Return the kinds of the columns that the names of directories give.

    Raises
    ------
    DataError
        If some file lacks a key that others have.
    """
    names = {key for file in files for key, _ in file.keys}
    kinds = {}
    for name in sorted(names):
        values = [dict(file.keys).get(name, "") for file in files]
        if "" in values:
            raise DataError(
                f"{files[values.index('')].name} is in no directory {name}=..., as other files are"
            )
        whole = all(v is None or _is_whole(v) for v in values)
        kinds[name] = "integer" if whole and any(v is not None for v in values) else "string"
    return kinds


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and str(int(digits)) == digits
