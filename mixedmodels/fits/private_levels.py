"""What keeps the levels of grouping factors to themselves: names behind a keyed hash, and no small cells."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import IntArray
from mixedmodels.engines.moments.sums import Columns, Rows, Sums, empty_sums
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.design.chunks import StreamDesign, stream_design
from mixedmodels.formula.design.level_tables import ColumnLevels, LevelTable, NameLevels
from mixedmodels.formula.language.syntax_tree import names_in

#: Hexadecimal digits of a hashed name: 128 bits, so that no two of 1e9 levels ever share them.
DIGITS = 32
#: The fewest bytes of a key that nobody finds by trying.
FEWEST_BYTES = 16
#: How many levels a message names.
SHOWN = 3


def key_bytes(key: object) -> bytes:
    """Return the key of a keyed hash.

    Raises
    ------
    DataError
        If it is no text or bytes, or so short that it could be guessed.
    """
    found = key.encode() if isinstance(key, str) else key
    if not isinstance(found, bytes) or len(found) < FEWEST_BYTES:
        raise DataError(
            f"hash_levels must be a secret of {FEWEST_BYTES} characters or more, the same at every site, "
            "such as secrets.token_hex(16) makes."
        )
    return found


def hashed_name(factor: str, level: str, key: bytes) -> str:
    """Return HMAC-SHA256 of the names of the factor and of the level."""
    message = f"{factor}\0{level}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:DIGITS]


def hashed_tables(
    tables: Sequence[LevelTable], names: Sequence[str], key: bytes
) -> tuple[tuple[LevelTable, ...], list[IntArray]]:
    """Return tables of hashed names in the order of these, and the place there of each level.

    The order of the hashes is no longer that of the rows.
    """
    made: list[LevelTable] = []
    places: list[IntArray] = []
    for table, name in zip(tables, names, strict=True):
        hashes = np.array([hashed_name(name, level, key) for level in table.names()], dtype=object)
        order = np.argsort(hashes, kind="stable")
        numbers = {level: k for k, level in enumerate(hashes[order].tolist())}
        made.append(ColumnLevels(name, NameLevels(numbers)))
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.arange(len(order))
        places.append(place)
    return tuple(made), places


def renumbered(sums: Sums, columns: Columns, places: Sequence[IntArray]) -> Sums:
    """Return sums with the levels at other places."""
    counts = [len(place) for place in places]
    empty = tuple(np.empty(0, dtype=np.intp) for _ in places)
    Z = tuple(None if g.is_shared else np.empty((g.size, 0)) for g in columns.groups)
    found = empty_sums(columns, Rows(np.empty((columns.size, 0)), Z, empty, (0,) * len(places), None))
    found.basis = sums.basis
    for group, own in zip(found.groups, sums.groups, strict=True):
        group.basis = own.basis
    found.looked_at = 2 * sums.n_rows
    found.absorb(sums, places, counts)
    found.looked_at = sums.n_rows
    return found


def refuse_small_cells(
    factors: Sequence[str], tables: Sequence[LevelTable], cells: Sequence[IntArray], least: int
) -> None:
    """Raise where a level has fewer rows than allowed.

    Raises
    ------
    DataError
        That says how many levels of which factor, and names some.
    """
    for factor, table, count in zip(factors, tables, cells, strict=True):
        names, small = table.names(), np.flatnonzero(count < least)
        if len(small):
            shown = listed(repr(names[k]) for k in small[:SHOWN].tolist())
            raise DataError(
                f"min_cell={least}: {len(small):,} of {len(names):,} levels of {factor} have fewer "
                f"rows, among them {shown}. Leave their rows out with subset=, or join them with others."
            )


def added_cells(cells: IntArray, codes: IntArray, size: int) -> IntArray:
    """Return the rows of each level with those of a batch."""
    found = np.bincount(codes, minlength=size)
    found[: len(cells)] += cells
    return found


def no_cells(count: int) -> list[IntArray]:
    """Return counts of no rows."""
    return [np.empty(0, dtype=np.intp) for _ in range(count)]


def joined_cells(
    here: list[IntArray] | None,
    there: list[IntArray] | None,
    places: Sequence[IntArray],
    sizes: Sequence[int],
) -> list[IntArray] | None:
    """Return the rows of each level of both, None where one has not counted them."""
    if here is None or there is None:
        return None
    found = []
    for mine, theirs, place, size in zip(here, there, places, sizes, strict=True):
        total = np.zeros(size, dtype=np.intp)
        total[: len(mine)] += mine
        total[place] += theirs
        found.append(total)
    return found


def without_level_names(design: StreamDesign) -> StreamDesign:
    """Return a design whose made-up row has no name of a level of what is a grouping factor alone."""
    request = design.blueprint.request
    of_groups = {n.name for group in design.groups for n in names_in(group.node)}
    nodes = [request.formula.response, *request.plan.fixed.offsets, *request.plan.fixed.variables]
    nodes += [v for bar in request.plan.bars for v in bar.terms.variables]
    outside = {n.name for node in nodes if node is not None for n in names_in(node)}
    schema = design.blueprint.schema.copy()
    for name in of_groups - outside:
        if name in schema:
            schema[name] = np.array(["1"], dtype=object)
    return stream_design(replace(design.blueprint, schema=schema))
