"""Text files of comma- or tab-separated values, read block by block; the first block settles the types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixedmodels.errors import DataError
from mixedmodels.streams.arrow_frames import ArrowFrames, kinds_of_schema
from mixedmodels.streams.files import File, key_kinds
from mixedmodels.streams.libraries import arrow
from mixedmodels.streams.source import Batch, require_columns, require_rows

#: Text read at a time, in bytes.
BLOCK_BYTES = 16 * 2**20


class CsvSource:
    """The rows of text files of the same columns.

    Parameters
    ----------
    files : sequence of File
        The files; the first block of the first settles the types.
    """

    once = False

    def __init__(self, files: Sequence[File]) -> None:
        if key_kinds(files):
            raise DataError("columns from names of directories (key=value) are read with Parquet files only")
        self._files = list(files)
        with _reader(files[0], None, None) as reader:
            self._schema = reader.schema
        self._kinds = kinds_of_schema(self._schema)

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> list[CsvPart] | None:
        """Return the files, if there are several: one is read from its beginning to its end."""
        if len(self._files) == 1:
            return None
        return [CsvPart(file, self._schema, self._kinds) for file in self._files]

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches."""
        where = self._files[0].name if len(self._files) == 1 else f"the table of {len(self._files)} files"
        require_columns(columns, self._kinds, where)
        parts = (CsvPart(file, self._schema, self._kinds) for file in self._files)
        yield from require_rows((batch for part in parts for batch in part.batches(columns)), where)


@dataclass(frozen=True, slots=True)
class CsvPart:
    """One text file.

    Attributes
    ----------
    file : File
        The file.
    schema : pyarrow.Schema
        Types of the table's columns.
    kinds : mapping of str to str
        Their kinds.
    """

    file: File
    schema: Any
    kinds: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file.name

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows of the file, a block at a time.

        Raises
        ------
        DataError
            Naming the file and the block in which something is not as in the first.
        """
        frames = ArrowFrames(columns, self.kinds)
        with _reader(self.file, list(columns), self.schema) as reader:
            for block, record in enumerate(_blocks(reader, self.file), 1):
                yield frames.batch(record, f"{self.file.name}, block {block}")


def _reader(file: File, columns: list[str] | None, schema: Any) -> Any:
    """Open a text file.

    Raises
    ------
    DataError
        Naming the file, if it cannot be read or lacks a column.
    """
    csv = arrow("csv")
    known = {field.name: field.type for field in schema or () if not arrow().types.is_null(field.type)}
    convert = csv.ConvertOptions(strings_can_be_null=True, include_columns=columns, column_types=known)
    delimiter = "\t" if ".tsv" in file.name.lower() else ","
    read, parse = (
        csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        csv.ParseOptions(delimiter=delimiter),
    )
    try:
        return csv.open_csv(_stream(file), read, parse, convert)
    except KeyError:
        with _reader(file, None, None) as other:
            require_columns(columns or (), other.schema.names, file.name)
        raise
    except (arrow().ArrowException, OSError) as error:
        raise _wrong_text(f"{file.name}, block 1", error) from error


def _stream(file: File) -> Any:
    return file.path if file.system is None else file.system.open_input_stream(file.path)


def _blocks(reader: Any, file: File) -> Iterator[Any]:
    block = 1
    try:
        for record in reader:
            yield record
            block += 1
    except (arrow().ArrowException, OSError) as error:
        raise _wrong_text(f"{file.name}, block {block}", error) from error


def _wrong_text(name: str, error: BaseException) -> DataError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].removeprefix("In CSV ")
    return DataError(
        f"{name} cannot be read ({reason}). The first block of text settles the type of each column; where "
        "later values are of another, write the table as Parquet, or pass pyarrow.dataset.dataset(path, "
        "schema=..., format='csv')"
    )
