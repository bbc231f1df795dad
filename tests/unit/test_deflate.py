import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.deflate import closing, deflated, inflated, joined, opened


@given(st.lists(st.binary(max_size=3000), max_size=6), st.binary(max_size=500))
def test_pieces_in_any_order_are_one_ordinary_gzip_member(texts: list[bytes], tail: bytes) -> None:
    pieces = [deflated(text) for text in texts]
    for order in (pieces, pieces[::-1], pieces[:1] + pieces):
        plain = b"".join(map(inflated, order)) + tail
        piece = joined(order)
        packed = opened(piece) + closing(piece, tail)
        assert gzip.decompress(packed) == plain
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert member.decompress(packed) == plain
        assert (member.eof, member.unused_data) == (True, b"")


@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_a_piece_tells_of_its_text(texts: list[bytes]) -> None:
    whole = b"".join(texts)
    for piece in (deflated(whole), joined(map(deflated, texts))):
        assert inflated(piece) == whole
        assert (piece.crc, piece.size, piece.lines) == (zlib.crc32(whole), len(whole), whole.count(b"\n"))
