"""The credentials file of the official SDK: an INI file with an access key in a section."""

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exporter.auth.access_key import fingerprint_of
from exporter.auth.renewal import Term
from exporter.auth.signing import Keys
from exporter.errors import AuthError

FILE_VARIABLE: Final = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
SECTIONS: Final = ("basic", "global")
"""The sections that are looked at, first first."""


def profile_path(environ: Mapping[str, str], home: Path) -> Path:
    """Give where the file is, if there is one."""
    return Path(environ.get(FILE_VARIABLE) or home / ".huaweicloud" / "credentials")


class ProfileKeys:
    """The access key of a section of the file, read anew for every request."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._section, options = self._read()
        self.source = f"access key of section [{self._section}] of {path}"
        self.term: Term | None = None
        self.project_id = options.get("project_id")
        self.domain_id = options.get("domain_id")

    async def keys(self) -> Keys:
        """Give the key that the file has now. Raises AuthError where it has none."""
        return self._keys()

    def drop(self, keys: Keys) -> bool:
        """Tell whether the file has another key by now."""
        return self.differs(keys)

    def differs(self, keys: Keys | None) -> bool:
        """Tell whether the file has another key."""
        try:
            return self._keys() != keys
        except AuthError:
            return False

    async def fingerprint(self) -> str | None:
        """Return a digest of the key."""
        try:
            return fingerprint_of(self._keys())
        except AuthError:
            return None

    def _keys(self) -> Keys:
        _, options = self._read()
        return Keys(options["ak"], options["sk"], options.get("security_token"))

    def _read(self) -> tuple[str, dict[str, str]]:
        """Give the first section that has a key, and its options."""
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            # A line that cannot be read may be half of a key: it is no cause to show.
            raise AuthError(
                f"{self._path} cannot be read ({type(error).__name__})",
                hint="write it as the SDK does: a section [basic] with ak and sk",
            ) from None
        for section in SECTIONS:
            if parser.has_section(section):
                options = {name: value for name, value in parser.items(section) if value}
                if {"ak", "sk"} <= options.keys():
                    return section, options
        raise AuthError(
            f"{self._path} has no ak and sk in {' or '.join(f'[{section}]' for section in SECTIONS)}",
            hint="write both into the section [basic]",
        )
