"""Postgres arrays of numbers as numpy arrays, read from the binary protocol without a Python object an element."""

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.rows import TupleRow

# Header of a one-dimensional array: dimensions, null flag, element oid, length, lower bound (five int32).
HEADER_BYTES = 20


class _NumberArrayLoader(Loader):
    """Elements are (int32 byte length, big-endian value) pairs; a NULL has length -1 and no value, so none may be."""

    format = Format.BINARY
    element: np.dtype[np.generic]

    def load(self, data: Buffer) -> NDArray[np.generic]:
        if len(data) < HEADER_BYTES:
            return np.empty(0, self.element.newbyteorder("="))
        pairs = np.frombuffer(data, np.dtype([("size", ">i4"), ("value", self.element)]), offset=HEADER_BYTES)
        return pairs["value"].astype(self.element.newbyteorder("="))


class _Int4Array(_NumberArrayLoader):
    element = np.dtype(">i4")


class _Int8Array(_NumberArrayLoader):
    element = np.dtype(">i8")


class _Float4Array(_NumberArrayLoader):
    element = np.dtype(">f4")


def register_arrays(connection: AsyncConnection[TupleRow]) -> None:
    """Load int4[], int8[] and float4[] as numpy arrays on this connection; they must hold no NULL."""
    for name, loader in (("int4", _Int4Array), ("int8", _Int8Array), ("float4", _Float4Array)):
        info = connection.adapters.types[name]
        connection.adapters.register_loader(info.array_oid, loader)
