"""The one protocol behind which all ways to authenticate stand."""

from collections.abc import Mapping
from typing import Protocol

from exporter.auth.renewal import Term
from exporter.transport import Request


class Credentials(Protocol):
    """What puts authentication on requests to one account."""

    @property
    def source(self) -> str:
        """Where they come from, in words for a log line; never a value."""

    @property
    def term(self) -> Term | None:
        """When what is in use expires, and is renewed; None where unknown or never."""

    async def headers(self, request: Request) -> Mapping[str, str]:
        """Give the headers that authenticate `request`, obtaining or renewing what they need.

        Raises AuthError where there is nothing to authenticate with, and the transport's errors.
        """

    async def refused(self, headers: Mapping[str, str]) -> bool:
        """Hear that the API answered 401 to a request with these `headers`, the very ones that were given for it.

        Tell whether something else can be tried at once: a renewed token, a secret read again and
        found changed. Pages that are refused together renew once.
        """

    def changed(self) -> bool:
        """Tell whether the secret is another than the one that was refused; cheap, asked often."""
