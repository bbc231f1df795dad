"""The credentials file of the official SDK: an INI file with an access key in a section."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.auth.secret import SecretFile, clean_secret
from exporter.auth.signing import AccessKey
from exporter.errors import AuthError
from exporter.language import Translatable

FILE_VARIABLE: Final = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
SECTIONS: Final = ("basic", "global")
"""The sections with a key, in the order in which they are tried."""

OPTIONS: Final = ("ak", "sk", "security_token", "project_id", "domain_id")


@dataclass(frozen=True, slots=True)
class Profile:
    """The section of the file that has a key; `names` are the IDs of its project and domain, as far as it has them."""

    section: str
    key: AccessKey
    names: Mapping[str, str]


class ProfileFile:
    """The file at `path`; it is read again for every request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SecretFile("credentials file", path)

    async def read(self) -> Profile:
        """Return the first section that has a key. Raise AuthError if there is none."""
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(await self._file.read())
        except configparser.Error as error:
            # The line may contain half of a key, so the cause is not shown.
            raise AuthError(
                f"{self.path} is not an INI file ({type(error).__name__})",
                hint=Translatable("write it as the SDK does: a section [basic] with ak and sk"),
            ) from None
        for section in SECTIONS:
            if parser.has_section(section):
                options = {
                    name: clean_secret(f"{name} of section [{section}] of {self.path}", value)
                    for name in OPTIONS
                    if (value := parser.get(section, name, fallback=""))
                }
                if {"ak", "sk"} <= options.keys():
                    key = AccessKey(options["ak"], options["sk"], options.get("security_token"))
                    ids: dict[str, str] = {
                        name: options[name] for name in ("project_id", "domain_id") if name in options
                    }
                    return Profile(section, key, ids)
        raise AuthError(
            f"{self.path} has no ak and sk in {' or '.join(f'[{section}]' for section in SECTIONS)}",
            hint=Translatable("write both into the section [basic]"),
        )

    async def read_key(self) -> AccessKey:
        """Return the key of that section. Raise AuthError if there is none."""
        return (await self.read()).key
