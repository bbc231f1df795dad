"""Updates the translations of pages and terminal: `python -m tools.translations`.

Adds new texts to the catalogue of each language, without a translation, removes those that are gone, and compiles it.
"""

import io
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import exporter
from exporter.commands.demo import DemoSettings
from exporter.language import ENGLISH, LANGUAGES
from exporter.settings import Settings
from exporter.settings.options import options
from exporter.translation import CATALOGUES, DOMAIN
from exporter.views.meanings import EXPLAINED_VALUES

PACKAGE: Final = Path(exporter.__file__).parent
TRANSLATED: Final = tuple(language for language in LANGUAGES if language != ENGLISH)
KEYWORDS: Final = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "Translatable": (1,),
}
TEMPLATE_OPTIONS: Final = dict.fromkeys(("newstyle_gettext", "trim_blocks", "lstrip_blocks"), "true")
"""As the renderer of the pages reads them."""


def catalogue_file(language: str) -> Path:
    """Return the file with the translations of a language."""
    return CATALOGUES / language.replace("-", "_") / "LC_MESSAGES" / f"{DOMAIN}.po"


def extract_texts() -> Catalog:
    """Return all texts of the code that are translated, without translations."""
    texts = Catalog()
    for file in sorted(PACKAGE.rglob("*")):
        method, settings = {".py": ("python", {}), ".html": ("jinja2", TEMPLATE_OPTIONS)}.get(file.suffix, ("", {}))
        if not method:
            continue
        with file.open("rb") as source:
            for _, text, _, context in extract(method, source, KEYWORDS, (), settings):
                texts.add(text, context=context, locations=[(file.relative_to(PACKAGE.parent).as_posix(), 0)])
    for tree in (Settings, DemoSettings):
        for option in options(tree):
            texts.add(option.description, locations=[("exporter/settings", 0)])
    for kind, values in EXPLAINED_VALUES.items():
        for value in values:
            texts.add(value, context=kind, locations=[("exporter/views/meanings.py", 0)])
    return texts


def read_catalogue(file: Path) -> Catalog:
    """Return the translations in a file."""
    with file.open("rb") as source:
        return read_po(source, abort_invalid=True)


def update_catalogue(catalogue: Catalog, texts: Catalog) -> bytes:
    """Return the content of the file with exactly these texts, and the translations of the catalogue."""
    catalogue.update(texts, update_creation_date=False)
    catalogue.obsolete.clear()
    content = io.BytesIO()
    write_po(content, catalogue, width=120, sort_by_file=True, include_lineno=False)
    return content.getvalue()


def compile_catalogue(catalogue: Catalog) -> bytes:
    """Return the content of the file that the exporter reads."""
    content = io.BytesIO()
    write_mo(content, catalogue)
    return content.getvalue()


def find_missing(catalogue: Catalog) -> list[Message]:
    """Return the texts that have no translation, or one that a person has to confirm."""
    return [message for message in catalogue if message.id and (message.fuzzy or not all(translations(message)))]


def translations(message: Message) -> tuple[str, ...]:
    """Return the translation of a text, or of each of its plural forms."""
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ("",))


def main() -> None:
    """Update and compile all catalogues, and print the texts that lack a translation."""
    texts = extract_texts()
    for file in map(catalogue_file, TRANSLATED):
        file.write_bytes(update_catalogue(read_catalogue(file), texts))
        catalogue = read_catalogue(file)
        file.with_suffix(".mo").write_bytes(compile_catalogue(catalogue))
        for message in find_missing(catalogue):
            print(f"{file.relative_to(PACKAGE.parent)}: no translation of {message.id!r}")  # noqa: T201 - the result


if __name__ == "__main__":
    main()
