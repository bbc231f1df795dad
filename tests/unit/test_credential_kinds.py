"""What a kind of credentials needs beside its module: options, a place in the chain, a row in the documentation."""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

import exporter.auth
from exporter.auth.chain import CHAIN
from exporter.auth.environment import TOOLS
from exporter.auth.kinds import KINDS, NAMES, SECRETS, Kind
from exporter.settings import AuthSettings

PACKAGE = Path(exporter.auth.__file__).parent
PAGE = (Path(__file__).parents[2] / "docs" / "credentials.md").read_text(encoding="utf-8")
SHARED_OPTIONS = {"metadata_endpoint"}
"""Options of places in the chain that no option selects."""


def flag(option: str) -> str:
    return f"`--auth.{option.replace('_', '-')}{'-file' if option in SECRETS else ''}`"


def missing_of(kind: Kind, page: str = PAGE) -> Iterator[str]:
    """Return one line for each thing that a kind lacks."""
    for option in kind.options:
        fields = [option, f"{option}_file"] if option in SECRETS else [option]
        for field in fields:
            if field not in AuthSettings.model_fields:
                yield f"{kind.selected_by}: AuthSettings in exporter/settings/account.py has no option {field}"
        if option not in (*SECRETS, *NAMES):
            yield f"{kind.selected_by}: {option} is in neither NAMES nor SECRETS of exporter/auth/kinds.py"
    rows = [line for line in page.splitlines() if line.startswith("|") and flag(kind.selected_by) in line]
    for option in kind.needs:
        if not any(flag(option) in row for row in rows):
            yield f"{kind.selected_by}: docs/credentials.md has no row with {flag(kind.selected_by)} and {flag(option)}"
    if not rows:
        yield f"{kind.selected_by}: docs/credentials.md has no row with {flag(kind.selected_by)}"
    if all(kind.selected_by not in tool.variables for tool in TOOLS):
        yield f"{kind.selected_by}: no tool in exporter/auth/environment.py has a variable for {kind.selected_by}"


def modules_without_a_place(package: Path) -> Iterable[str]:
    """Return a line for each module of the package that neither the chain nor the kinds reach by their imports."""
    reached, new = set[str](), {"chain"}
    while new:
        reached |= new
        imports = (
            node.module.rpartition(".")[2]
            for name in new
            for node in ast.walk(ast.parse((package / f"{name}.py").read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("exporter.auth.")
        )
        new = set(imports) - reached
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    return [
        f"{name}.py has no place in CHAIN of exporter/auth/chain.py and no entry in KINDS of exporter/auth/kinds.py"
        for name in sorted(modules - reached)
    ]


def documented_places(page: str) -> Sequence[str]:
    """Return the items of the default chain."""
    section = page.partition("## Default credential chain")[2]
    first_list = next(part for part in section.split("\n\n") if part.startswith("1. "))
    return re.findall(r"^\d+\. .*(?:\n   .*)*", first_list, re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.selected_by for kind in KINDS])
def test_a_kind_of_credentials_has_its_options_variables_and_documentation(kind: Kind) -> None:
    assert list(missing_of(kind)) == []


def test_a_kind_that_was_only_half_added_is_reported_with_what_is_missing() -> None:
    added = Kind("id_token", ("provider_id",), (), KINDS[0].build)
    missing = "\n".join(missing_of(added))
    for part in ("no option id_token", "NAMES nor SECRETS", "docs/credentials.md has no row", "no tool"):
        assert part in missing


def test_every_module_of_credentials_has_a_place_in_the_chain(tmp_path: Path) -> None:
    assert modules_without_a_place(PACKAGE) == []
    for path in PACKAGE.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "oidc.py").write_text("")
    assert [line.partition(" ")[0] for line in modules_without_a_place(tmp_path)] == ["oidc.py"]


def test_every_option_of_credentials_belongs_to_a_kind() -> None:
    used = {option for kind in KINDS for option in kind.options} | SHARED_OPTIONS
    assert {name.removesuffix("_file") for name in AuthSettings.model_fields} == used


def test_the_documentation_lists_the_places_of_the_default_chain_in_their_order() -> None:
    places = documented_places(PAGE)
    assert len(places) == len(TOOLS) + len(CHAIN) - len(["options", "environment"])
    for tool, place in zip(TOOLS, places, strict=False):
        prefix = tool.variables["access_key"][0].partition("_")[0]
        assert f"`{prefix}_" in place, f"place of {tool.name}"


@pytest.mark.parametrize(
    "kinds", list(itertools.combinations(KINDS, 2)), ids=lambda kinds: " and ".join(kind.selected_by for kind in kinds)
)
def test_two_kinds_at_once_are_an_error(kinds: Sequence[Kind]) -> None:
    options = {option: "x" for kind in kinds for option in (kind.selected_by, *kind.needs)}
    with pytest.raises(ValidationError):
        AuthSettings.model_validate(options)
