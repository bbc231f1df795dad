"""Bytes read as a series of choices, for targets whose input is not a text but a world."""

from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value")


class Choices:
    """Makes choices with the bytes of an input, from the front to the end; without further bytes, the first choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def number(self, maximum: int) -> int:
        """Return a number from 0 to `maximum`."""
        size = (maximum.bit_length() + 7) // 8
        return int.from_bytes(self.octets(size)) % (maximum + 1)

    def one_of(self, values: Sequence[Value]) -> Value:
        """Return one of the values."""
        return values[self.number(len(values) - 1)]

    def octets(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end of the input."""
        taken = self._data[self._position : self._position + size]
        self._position += size
        return taken

    def text(self, size: int) -> str:
        """Return a text of the next bytes; a byte that is not UTF-8 becomes a replacement character."""
        return self.octets(size).decode("utf-8", "replace")

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.octets(len(self._data))
