"""The targets by name. Each takes an input and raises if something is wrong with how the exporter processes it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fuzz import api, clients, files

Target = Callable[[bytes], None]

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "pages": api.pages,
        "paging": api.paging,
        "errors": api.errors,
        "headers": api.headers,
        "texts": api.texts,
        "documents": files.documents,
        "configurations": files.configurations,
        "web-configurations": files.web_configurations,
        "secrets": files.secrets,
        "states": files.states,
        "negotiation": clients.negotiation,
        "queries": clients.queries,
        "expositions": clients.expositions,
    },
)

CORPUS: Final = Path(__file__).parent / "corpus"
"""A folder per target, with inputs from which the fuzzer starts, and inputs that once found a defect."""


def read_corpus(target: str) -> Mapping[str, bytes]:
    """Return the inputs of a target by the name of their file."""
    return {file.name: file.read_bytes() for file in sorted((CORPUS / target).iterdir())}
