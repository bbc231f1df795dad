"""Temporary access keys that a service on the machine hands out: the ECS metadata service, pod identity."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from yarl import URL

from exporter.auth.credentials import Secret, digest
from exporter.auth.renewal import Lease, Renewed, Term
from exporter.auth.signing import Keys
from exporter.clock import Clock
from exporter.errors import AuthError, PollError, ServerFault, Throttled
from exporter.http.api_errors import api_error
from exporter.http.transport import Request, Response, Transport

METADATA_TOKEN_SECONDS: Final = 21_600
_WITHOUT_TOKEN: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.SERVICE_UNAVAILABLE)

_NAMES: Final = {
    "access": ("access", "accessKeyId", "access_key_id"),
    "secret": ("secret", "secretAccessKey", "secret_access_key"),
    "token": ("securitytoken", "securityToken", "security_token"),
    "end": ("expires_at", "expiration"),
}
"""What the services call the parts of a key; the official SDK reads the same."""


class _TemporaryKeys:
    """Keys that are renewed before they expire, and once when one is refused.

    `service` hands them out; `hint` says what to do where it gives none.
    """

    def __init__(self, source: str, clock: Clock, *, service: str, hint: str) -> None:
        self.source = source
        self._clock = clock
        self._service = service
        self._hint = hint
        self._renewed = Renewed(self._obtain, clock)

    @property
    def term(self) -> Term | None:
        """That of the key in use."""
        return self._renewed.term

    async def keys(self) -> Keys:
        """Give a key that is valid."""
        return await self._renewed.get()

    def drop(self, keys: Keys) -> bool:
        """Forget a key that was refused; another is to be had."""
        self._renewed.drop(keys)
        return True

    def differs(self, keys: Keys | None) -> bool:
        """Nobody puts keys here but the service, which is asked when the next is needed."""
        del keys
        return False

    async def fingerprint(self) -> str | None:
        """Return a digest of what the service is asked with: it issues the keys."""
        raise NotImplementedError

    async def _obtain(self) -> Lease[Keys]:
        raise NotImplementedError

    def _lease(self, response: Response) -> Lease[Keys]:
        if response.status != HTTPStatus.OK:
            raise self._failure(response)
        try:
            content = msgspec.json.decode(response.body, type=dict[str, dict[str, object]])
            credential = content.get("credential") or content.get("credentials") or {}
            parts = {part: _first(credential, names) for part, names in _NAMES.items()}
            expires_at = datetime.fromisoformat(parts["end"]).timestamp()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            # The body may hold half of a key: it is no cause to show.
            raise AuthError(f"{self._service} answered 200 without a temporary key", hint=self._hint) from None
        return Lease(Keys(parts["access"], parts["secret"], parts["token"]), expires_at)

    def _failure(self, response: Response) -> PollError:
        """Name what a status other than 200 tells of: what may pass is no refusal."""
        failure = api_error(response, now=self._clock.time())
        passing = isinstance(failure, ServerFault | Throttled)
        return (type(failure) if passing else AuthError)(
            f"{self._service} answered {response.status}",
            hint=f"nothing to do if it passes; else find out what ails {self._service}" if passing else self._hint,
            status=response.status,
            retry_after=failure.retry_after if passing else None,
        )


class MetadataKeys(_TemporaryKeys):
    """Keys of the agency of an ECS, from its metadata service at `base_url`."""

    def __init__(self, base_url: str, transport: Transport, clock: Clock) -> None:
        super().__init__(
            "temporary key of this server's agency (ECS metadata service)",
            clock,
            service="the ECS metadata service",
            hint="give this server an agency that may list SMS servers",
        )
        self._base_url = base_url
        self._transport = transport

    async def _obtain(self) -> Lease[Keys]:
        url = URL(f"{self._base_url}/openstack/latest/securitykey")
        told = await self._ask_for_token()
        token = told.body.decode("ascii", "replace").strip() if told.status == HTTPStatus.OK else None
        response = await self._transport.send(Request("GET", url, {"X-Metadata-Token": token} if token else {}))
        if response.status == HTTPStatus.UNAUTHORIZED and told.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise self._failure(told)  # the service wants the token that it could not give
        return self._lease(response)

    async def fingerprint(self) -> str | None:
        """Return a digest of the service's address."""
        return digest(self._base_url)

    async def _ask_for_token(self) -> Response:
        """Ask for the token that newer services want; older ones know none."""
        url = URL(f"{self._base_url}/meta-data/latest/api/token")
        header = {"X-Metadata-Token-Ttl-Seconds": str(METADATA_TOKEN_SECONDS)}
        response = await self._transport.send(Request("PUT", url, header))
        if response.status not in (HTTPStatus.OK, *_WITHOUT_TOKEN):
            raise self._failure(response)
        return response


class PodIdentityKeys(_TemporaryKeys):
    """Keys of a pod's identity, from the address and with the token that its environment names."""

    def __init__(self, url: str, token_file: Path, transport: Transport, clock: Clock) -> None:
        super().__init__(
            "temporary key of this pod's identity",
            clock,
            service="the pod identity service",
            hint="check the identity that is bound to this pod",
        )
        self._url = URL(url)
        self._token = Secret("HC_CONTAINER_AUTHORIZATION_TOKEN", file=token_file)
        self._transport = transport

    async def fingerprint(self) -> str | None:
        """Return a digest of the service's address and the pod's token."""
        try:
            return digest(str(self._url), self._token.read())
        except AuthError:
            return None

    async def _obtain(self) -> Lease[Keys]:
        headers = {"Authorization": self._token.read(), "Content-Type": "application/json"}
        response = await self._transport.send(Request("POST", self._url, headers, b"{}"))
        return self._lease(response)


def _first(credential: Mapping[str, object], names: Sequence[str]) -> str:
    """Give the first part that is there. Raises ValueError where none is."""
    for name in names:
        if isinstance(part := credential.get(name), str) and part:
            return part
    raise ValueError(names[0])
