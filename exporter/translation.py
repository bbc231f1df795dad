"""The texts of one language, from the catalogues in `exporter/locale`."""

from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Final

from exporter.language import ENGLISH, Translatable

DOMAIN: Final = "exporter"
"""The name of the files of the catalogues."""
CATALOGUES: Final = Path(__file__).with_name("locale")


class Translator:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        translations = NullTranslations()
        if language != ENGLISH:
            file = CATALOGUES / language.replace("-", "_") / "LC_MESSAGES" / f"{DOMAIN}.mo"
            with file.open("rb") as catalogue:
                translations = GNUTranslations(catalogue)
        self.gettext = translations.gettext
        self.ngettext = translations.ngettext
        self.pgettext = translations.pgettext
        self.npgettext = translations.npgettext

    def translate(self, text: str) -> str:
        """Return a text that was written in English elsewhere, for example a `Translatable`, in this language."""
        if not isinstance(text, Translatable):
            # An empty message is that of the header of the catalogue.
            return self.gettext(text) if text else ""
        # Other values, such as names of servers, are shown as they are.
        values = {
            name: self.translate(value) if isinstance(value, Translatable) else value
            for name, value in text.values.items()
        }
        return self.gettext(text.message) % values if values else self.gettext(text.message)


IN_ENGLISH: Final = Translator(ENGLISH)
