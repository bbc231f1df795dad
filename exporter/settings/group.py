"""What all groups of options have in common."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_settings import NoDecode


class Group(BaseModel):
    """Base of the groups: strict about names, fixed once read, silent about secrets in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _grouped(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file has
        if value is None:  # in the file a name with nothing behind it, as when all its options are comments
            return {}
        if not isinstance(value, Mapping | cls):
            msg = f"this is a group of options: {', '.join(cls.model_fields)}"
            raise ValueError(msg)  # noqa: TRY004 - pydantic takes no TypeError for a fault
        return value


def _split(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several words: a list in the file, separated by commas elsewhere."""
