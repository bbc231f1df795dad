"""Text deflated in independent pieces that join into one ordinary gzip member.

A piece ends with a full flush: it ends on a whole byte, and nothing after it refers to its content. Pieces can
therefore be concatenated in any order, and their checksums are combined without the text.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from isal import isal_zlib

_LEVEL: Final = 1
"""The ISA-L level that is both fast and small for text like ours."""
_RAW_WBITS: Final = -isal_zlib.MAX_WBITS
_GZIP_WBITS: Final = isal_zlib.MAX_WBITS | 16
_INPUT_BYTES: Final = 2**16
"""Deflated bytes per call of the decompressor: whenever a slice is full, it copies those that are left."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Deflated text: `crc` and `size` (bytes) are those of the text, `lines` is its number of lines."""

    data: bytes
    crc: int = 0
    size: int = 0
    lines: int = 0


_GZIP_HEADER: Final = Piece(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")


def deflate(text: bytes) -> Piece:
    """Return the text as a piece."""
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW_WBITS)
    data = compressor.compress(text) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
    return Piece(data, isal_zlib.crc32(text), len(text), text.count(b"\n"))


def join(pieces: Iterable[Piece]) -> Piece:
    """Return the pieces, in their order, as one piece."""
    data = []
    crc = size = lines = 0
    for piece in pieces:
        data.append(piece.data)
        crc = isal_zlib.crc32_combine(crc, piece.crc, piece.size)
        size += piece.size
        lines += piece.lines
    return Piece(b"".join(data), crc, size, lines)


def gzip_head(pieces: Iterable[Piece]) -> Piece:
    """Return a gzip member up to the end of the last piece; `gzip_tail` returns the rest."""
    return join(chain((_GZIP_HEADER,), pieces))


def gzip_tail(head: Piece, tail: bytes) -> bytes:
    """Return the end of a gzip member: `tail` deflated, and the checksum and size of the whole text."""
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW_WBITS)
    crc = isal_zlib.crc32(tail, head.crc)
    size = (head.size + len(tail)) & 0xFFFFFFFF
    return b"".join((compressor.compress(tail), compressor.flush(), struct.pack("<LL", crc, size)))


def inflate(head: Piece, max_bytes: int) -> Iterator[bytes]:
    """Return the text of a `gzip_head`, in slices of at most `max_bytes`."""
    decompressor = isal_zlib.decompressobj(_GZIP_WBITS)
    for start in range(0, len(head.data), _INPUT_BYTES):
        remaining: bytes = head.data[start : start + _INPUT_BYTES]
        is_full = True
        while remaining or is_full:
            text: bytes = decompressor.decompress(remaining, max_bytes)
            remaining, is_full = decompressor.unconsumed_tail, len(text) == max_bytes
            if text:
                yield text
