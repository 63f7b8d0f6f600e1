"""Arrays of numbers and of vectors between Postgres and numpy, in binary, without a Python object an element."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.rows import TupleRow

# Header of a one-dimensional array: dimensions, null flag, element oid, length, lower bound (five int32).
HEADER_BYTES = 20


# pgvector's binary form begins with its dimension and an unused field (two int16).
VECTOR_HEADER_BYTES = 4


def read_vector(sent: bytes) -> NDArray[np.float32]:
    """What `vector_send` gives, as float32[d]: one allocation, where the type's own loader makes several objects."""
    return np.frombuffer(sent, ">f4", offset=VECTOR_HEADER_BYTES).astype(np.float32)


@dataclass(frozen=True, slots=True)
class VectorArray:
    """The rows of float32[n, d] as a parameter of type vector[].

    Sent as the bytes of one numpy buffer; psycopg's own way, a list of vectors, formats every number as text.
    """

    rows: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NumberArray:
    """int64[n] as a parameter of type bigint[], sent like a `VectorArray`."""

    values: NDArray[np.int64]


def _number_array_dumper(element_oid: int, array_oid: int) -> type[Dumper]:
    class NumberArrayDumper(Dumper):
        format = Format.BINARY
        oid = array_oid

        def dump(self, obj: NumberArray) -> bytes:
            count = len(obj.values)
            header = np.array([1 if count else 0, 0, element_oid, count, 1][: 5 if count else 3], ">i4")
            elements = np.empty(count, np.dtype([("size", ">i4"), ("value", ">i8")]))
            elements["size"] = 8
            elements["value"] = obj.values
            return header.tobytes() + elements.tobytes()

    return NumberArrayDumper


def _vector_array_dumper(element_oid: int, array_oid: int) -> type[Dumper]:
    class VectorArrayDumper(Dumper):
        format = Format.BINARY
        oid = array_oid

        def dump(self, obj: VectorArray) -> bytes:
            count, dimension = obj.rows.shape
            header = np.array([1 if count else 0, 0, element_oid, count, 1][: 5 if count else 3], ">i4")
            element = np.dtype([("size", ">i4"), ("dimension", ">i2"), ("unused", ">i2"), ("values", ">f4", dimension)])
            elements = np.zeros(count, element)
            elements["size"] = element.itemsize - 4
            elements["dimension"] = dimension
            elements["values"] = obj.rows
            return header.tobytes() + elements.tobytes()

    return VectorArrayDumper


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
    """Load int4[], int8[] and float4[] as numpy arrays on this connection (they must hold no NULL), and send
    `VectorArray` and `NumberArray`; pgvector's types must be registered."""
    vector = connection.adapters.types["vector"]
    connection.adapters.register_dumper(VectorArray, _vector_array_dumper(vector.oid, vector.array_oid))
    bigint = connection.adapters.types["int8"]
    connection.adapters.register_dumper(NumberArray, _number_array_dumper(bigint.oid, bigint.array_oid))
    for name, loader in (("int4", _Int4Array), ("int8", _Int8Array), ("float4", _Float4Array)):
        info = connection.adapters.types[name]
        connection.adapters.register_loader(info.array_oid, loader)
