"""What all groups of options have in common."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_settings import NoDecode


class Group(BaseModel):
    """Base of the groups: strict about names, fixed once read, silent about secrets in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _split(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several words: a list in the file, separated by commas elsewhere."""
