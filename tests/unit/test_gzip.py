import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.gzip import Piece, deflate, gzip_head, gzip_tail, inflate, join


def text_of(piece: Piece, most: int = 1000) -> bytes:
    return b"".join(inflate(gzip_head([piece]), most))


@given(st.lists(st.binary(max_size=3000), max_size=6), st.binary(max_size=500))
def test_pieces_in_any_order_form_one_ordinary_gzip_member(texts: list[bytes], tail: bytes) -> None:
    pieces = [deflate(text) for text in texts]
    for order in (pieces, pieces[::-1], pieces[:1] + pieces):
        plain = b"".join(text_of(piece) for piece in order) + tail
        head = gzip_head(order)
        packed = head.data + gzip_tail(head, tail)
        assert gzip.decompress(packed) == plain
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert member.decompress(packed) == plain
        assert (member.eof, member.unused_data) == (True, b"")


@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_a_piece_has_checksum_size_and_lines_of_its_text(texts: list[bytes]) -> None:
    whole = b"".join(texts)
    for piece in (deflate(whole), join(map(deflate, texts))):
        assert text_of(piece) == whole
        assert (piece.crc, piece.size, piece.lines) == (zlib.crc32(whole), len(whole), whole.count(b"\n"))


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 400))
def test_text_is_inflated_in_slices_of_at_most_the_requested_size(texts: list[bytes], most: int) -> None:
    slices = list(inflate(gzip_head(map(deflate, texts)), most))
    assert b"".join(slices) == b"".join(texts)
    assert all(0 < len(text) <= most for text in slices)


def test_text_that_deflates_to_almost_nothing_is_inflated_in_slices() -> None:
    slices = list(inflate(gzip_head([deflate(b"x" * 30_000_000)]), 2**18))
    assert (sum(map(len, slices)), max(map(len, slices))) == (30_000_000, 2**18)
