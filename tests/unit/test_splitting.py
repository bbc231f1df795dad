"""Rows that no decoder accepts are found without decoding them."""

import pytest

from exporter.errors import BadResponse
from exporter.sms.splitting import MAX_NESTING, split_array, split_object


def test_the_members_of_an_object_and_the_items_of_an_array_stay_as_they_are() -> None:
    assert split_object(b' {"a": [1, {"b": 2}], "c,]}" : "x\\"}" ,"d":} ') == {
        b'"a"': b'[1, {"b": 2}]',
        b'"c,]}"': b'"x\\"}" ',
        b'"d"': b"",
    }
    assert split_array(b' [ 1 , "a,]" , [2, 3], nonsense] ', 9) == [b" 1 ", b' "a,]" ', b" [2, 3]", b"nonsense"]
    assert split_array(b"[ ]", 9) == []
    assert split_array(b"[1,]", 9) == [b"1"]


@pytest.mark.parametrize("rows", [3, 4])
def test_an_array_has_at_most_the_maximum_number_of_items(rows: int) -> None:
    text = b"[" + b",".join([b"0"] * rows) + b"]"
    if rows <= 3:
        assert split_array(text, 3) == [b"0"] * rows
    else:
        with pytest.raises(BadResponse, match="more than 3 rows on one page"):
            split_array(text, 3)


def test_the_end_of_an_item_is_searched_up_to_the_maximum_nesting() -> None:
    deepest = b"[" * MAX_NESTING + b"]" * MAX_NESTING
    assert split_array(deepest, 1) == [deepest[1:-1]]
    with pytest.raises(BadResponse, match="nested more than 10000 times"):
        split_array(b"[" + deepest + b"]", 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"5", "a body that is not a list"),
        (b"{}", "a body that is not a list"),
        (b'"["', "a body that is not a list"),
        (b"", "an empty body"),
        (b" \n", "an empty body"),
        (b"\n<!doctype html>", "a page of HTML or XML"),
    ],
)
def test_something_else_than_an_array_is_not_a_list(text: bytes, found: str) -> None:
    with pytest.raises(BadResponse, match=f"the API answered 200 with {found}"):
        split_array(text, 1)


@pytest.mark.parametrize("text", [b"[", b"[1", b'["]', b"[[]", b"[1, "])
def test_an_array_without_an_end_is_incomplete(text: bytes) -> None:
    with pytest.raises(BadResponse, match="incomplete JSON"):
        split_array(text, 1000)
