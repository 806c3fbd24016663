"""Arrow and Parquet files from strangers, through pyarrow: columns of numbers, a little at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from awaccli.errors import InputError, UsageError

MAX_BYTES = 1 << 30
"""Of what is in memory at once: an episode in a file of its own, or a batch of rows."""
_BATCH_BYTES = 2 << 20
_SHAPE = b"shape"
"""Metadata of Minari: the shape of a row. Lists of one number whose shape is empty are plain numbers."""


def arrow() -> Any:
    """Return pyarrow, with its readers.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            "Arrow and Parquet files need the package pyarrow", hint='pip install "awaccli[lerobot]"'
        ) from error
    return pa


@contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Turn what pyarrow finds wrong with a file into an `InputError`."""
    try:
        yield
    except (arrow().ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:
        raise InputError(
            f"`{path}` cannot be read: {error}", hint="it is damaged, or of another kind: get it again"
        ) from error


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of numbers of a small file, Arrow or Parquet as its ending says; see `numbers_of`.

    Raises:
        InputError: damaged, or larger than ``MAX_BYTES``.
    """
    pa = arrow()
    with blamed_on(path):
        if path.suffix == ".parquet":
            file = pa.parquet.ParquetFile(path)
            _require_fits(path, file.metadata.num_rows * row_bytes(file.schema_arrow))
            table = file.read()
        else:
            with pa.OSFile(str(path)) as file:
                table = pa.ipc.open_file(file).read_all()
        table.validate(full=True)
        columns: dict[str, np.ndarray] = {}
        for name in table.column_names:
            columns |= numbers_of(table.column(name), name, path)
        return columns


def batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Yield the rows of some columns of a Parquet file, as record batches of some MiB.

    Raises:
        InputError: damaged, or a column is missing.
    """
    with blamed_on(path), arrow().parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        for name in columns:
            if name not in schema.names:
                raise InputError(f"`{path}` has no column `{name}`", hint=f"it has {', '.join(schema.names)}")
        width = sum(_width(schema.field(name).type) for name in columns)
        _require_fits(path, width)
        rows = max(1, _BATCH_BYTES // max(1, width))
        for group in range(file.num_row_groups):  # asked for all of them, pyarrow reads them all in advance
            found = file.iter_batches(rows, columns=list(columns), row_groups=[group], use_threads=False)
            for batch in found:
                batch.validate(full=True)
                yield batch


def labels(path: Path, number: str) -> dict[int, str]:
    """Return the texts of a small Parquet file by the numbers in the column ``number``.

    Raises:
        InputError: damaged, or without texts.
    """
    pa = arrow()
    with blamed_on(path):
        file = pa.parquet.ParquetFile(path)
        _require_fits(path, file.metadata.num_rows * row_bytes(file.schema_arrow))
        table = file.read()
        texts = [field.name for field in table.schema if str(field.type) in ("string", "large_string")]
        if number not in table.column_names or not texts:
            raise InputError(f"`{path}` has no texts by {number}", hint="get it again")
        pairs = zip(table.column(number).to_pylist(), table.column(texts[0]).to_pylist(), strict=True)
        return {index: str(text) for index, text in pairs if isinstance(index, int)}


def row_bytes(schema: Any) -> int:
    """Return what a row takes in memory, as far as the schema says."""
    return sum(_width(field.type) for field in schema)


def _width(kind: Any) -> int:
    types = arrow().types
    if types.is_struct(kind):
        return sum(_width(field.type) for field in kind)
    if types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    return 8


def _require_fits(path: Path, size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        raise InputError(
            f"`{path}` unpacks to {size_bytes} bytes at once",
            hint=f"expected at most {MAX_BYTES}; the file is damaged or hostile",
        )


def numbers_of(column: Any, name: str, path: Path) -> dict[str, np.ndarray]:
    """Return the numbers in a column of N rows: [N] each, or [N, k] for lists; those of structs by path.

    Columns of texts, images and other things are left out.

    Raises:
        InputError: lists of different lengths, or missing ones.
    """
    pa = arrow()
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_struct(values.type):
        fields: dict[str, np.ndarray] = {}
        for index, field in enumerate(values.type):
            found = numbers_of(values.field(index), f"{name}/{field.name}", path)
            if (field.metadata or {}).get(_SHAPE) == b"":
                found = {key: numbers.reshape(len(values)) for key, numbers in found.items()}
            fields |= found
        return fields
    rows, listed = len(values), _is_list(values.type)
    while _is_list(values.type):
        if values.null_count or len(np.unique(values.value_lengths().to_numpy())) > 1:
            raise InputError(
                f"`{path}`: column `{name}` has lists of different lengths, or missing ones",
                hint="expected as many numbers in each row",
            )
        values = values.flatten()
    if not _is_number(values.type):
        return {}
    flat = values.to_numpy(zero_copy_only=False)
    return {name: flat.reshape(rows, -1) if listed else flat}


def _is_list(kind: Any) -> bool:
    types = arrow().types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    types = arrow().types
    return bool(types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind))
