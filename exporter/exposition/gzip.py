"""Text deflated in pieces, each on its own, that join into one ordinary gzip member.

A piece ends with a full flush: on a whole byte, and nothing behind it refers to what is in it. So pieces are
joined by putting them one behind the other, in any order, and their checksums are combined without the text.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from isal import isal_zlib

_LEVEL: Final = 1
"""Of ISA-L's levels the one that is both quick and small for text like ours."""
_RAW: Final = -isal_zlib.MAX_WBITS
_GZIP: Final = isal_zlib.MAX_WBITS | 16
_FED: Final = 2**16
"""Deflated bytes that are inflated at once: what is left of them when a slice is full is copied."""
_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class Piece:
    """Deflated text: `crc` and `size` (bytes) are of the text, `lines` is how many it has."""

    data: bytes
    crc: int = 0
    size: int = 0
    lines: int = 0


def deflated(text: bytes) -> Piece:
    """Make a piece of a text."""
    deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW)
    data = deflate.compress(text) + deflate.flush(isal_zlib.Z_FULL_FLUSH)
    return Piece(data, isal_zlib.crc32(text), len(text), text.count(b"\n"))


def joined(pieces: Iterable[Piece]) -> Piece:
    """Make one piece of several."""
    data = []
    crc = size = lines = 0
    for piece in pieces:
        data.append(piece.data)
        crc = isal_zlib.crc32_combine(crc, piece.crc, piece.size)
        size += piece.size
        lines += piece.lines
    return Piece(b"".join(data), crc, size, lines)


def opened(piece: Piece) -> bytes:
    """Give the beginning of a gzip member: its header and the piece. `closing` gives the rest."""
    return _HEADER + piece.data


def inflated(member: bytes, most: int) -> Iterator[bytes]:
    """Give the text of a gzip member that was `opened`, in slices of `most` bytes or less."""
    inflate = isal_zlib.decompressobj(_GZIP)
    for start in range(0, len(member), _FED):
        rest: bytes = member[start : start + _FED]
        full = True
        while rest or full:
            text: bytes = inflate.decompress(rest, most)
            rest, full = inflate.unconsumed_tail, len(text) == most
            if text:
                yield text


def closing(piece: Piece, tail: bytes) -> bytes:
    """Give the end of a gzip member that was `opened` with the piece: the deflated tail, and the checksum of both."""
    deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW)
    crc = isal_zlib.crc32(tail, piece.crc)
    size = (piece.size + len(tail)) & 0xFFFFFFFF
    return b"".join((deflate.compress(tail), deflate.flush(), struct.pack("<LL", crc, size)))
