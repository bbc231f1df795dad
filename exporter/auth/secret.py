"""A secret given as a value or in a file that may be rotated."""

from pathlib import Path

from pydantic import SecretStr

from exporter.errors import AuthError


class Secret:
    """A secret from the option `name`, or from a file that is read anew at each call.

    Surrounding white space of a file is no part of the secret.
    """

    def __init__(self, name: str, value: SecretStr | None = None, file: Path | None = None) -> None:
        self.name = name
        self._value = value
        self._file = file

    def read(self) -> str:
        """Give the secret as it is now. Raises AuthError where the file cannot be read or is empty."""
        if self._file is None:
            return self._value.get_secret_value() if self._value else ""
        try:
            secret = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AuthError(
                f"{self.name}-file: {self._file} cannot be read ({type(error).__name__})",
                advice=f"let the exporter's user read {self._file}",
            ) from error
        if not secret:
            raise AuthError(f"{self.name}-file: {self._file} is empty", advice=f"write the secret to {self._file}")
        return secret
