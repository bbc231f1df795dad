"""Temporary access keys that a service on the machine hands out: the ECS metadata service, pod identity."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from yarl import URL

from exporter.auth.renewal import Lease, Renewed
from exporter.auth.secret import Secret
from exporter.auth.signing import Keys
from exporter.clock import Clock
from exporter.errors import AuthError
from exporter.transport import Request, Response, Transport

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
    """Keys that are renewed before they expire, and once when one is refused."""

    def __init__(self, source: str, clock: Clock) -> None:
        self.source = source
        self._renewed = Renewed(self._obtain, clock)

    @property
    def expires_at(self) -> float | None:
        """When the key in use expires."""
        return self._renewed.expires_at

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

    async def _obtain(self) -> Lease[Keys]:
        raise NotImplementedError


class MetadataKeys(_TemporaryKeys):
    """Keys of the agency of an ECS, from its metadata service at `base_url`."""

    def __init__(self, base_url: str, transport: Transport, clock: Clock) -> None:
        super().__init__("temporary key of this server's agency (ECS metadata service)", clock)
        self._base_url = base_url
        self._transport = transport

    async def _obtain(self) -> Lease[Keys]:
        url = URL(f"{self._base_url}/openstack/latest/securitykey")
        response = await self._transport.send(Request("GET", url, await self._token_header()))
        return _lease(response, "the ECS metadata service", "give this server an agency that may list SMS servers")

    async def _token_header(self) -> dict[str, str]:
        """Ask for the token that newer services want; older ones know none."""
        url = URL(f"{self._base_url}/meta-data/latest/api/token")
        header = {"X-Metadata-Token-Ttl-Seconds": str(METADATA_TOKEN_SECONDS)}
        response = await self._transport.send(Request("PUT", url, header))
        if response.status in _WITHOUT_TOKEN:
            return {}
        if response.status != HTTPStatus.OK:
            raise AuthError(f"the ECS metadata service answered {response.status} to a request for a token")
        return {"X-Metadata-Token": response.body.decode("ascii", "replace").strip()}


class PodIdentityKeys(_TemporaryKeys):
    """Keys of a pod's identity, from the address and with the token that its environment names."""

    def __init__(self, url: str, token_file: Path, transport: Transport, clock: Clock) -> None:
        super().__init__("temporary key of this pod's identity", clock)
        self._url = URL(url)
        self._token = Secret("HC_CONTAINER_AUTHORIZATION_TOKEN", file=token_file)
        self._transport = transport

    async def _obtain(self) -> Lease[Keys]:
        headers = {"Authorization": self._token.read(), "Content-Type": "application/json"}
        response = await self._transport.send(Request("POST", self._url, headers, b"{}"))
        return _lease(response, "the pod identity service", "check the identity that is bound to this pod")


def _lease(response: Response, service: str, advice: str) -> Lease[Keys]:
    if response.status != HTTPStatus.OK:
        raise AuthError(f"{service} answered {response.status}", advice=advice, status=response.status)
    try:
        content = msgspec.json.decode(response.body, type=dict[str, dict[str, object]])
        credential = content.get("credential") or content.get("credentials") or {}
        parts = {part: _first(credential, names) for part, names in _NAMES.items()}
        expires_at = datetime.fromisoformat(parts["end"]).timestamp()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        # The body may hold half of a key: it is no cause to show.
        raise AuthError(f"{service} answered 200 without a temporary key", advice=advice) from None
    return Lease(Keys(parts["access"], parts["secret"], parts["token"]), expires_at)


def _first(credential: Mapping[str, object], names: Sequence[str]) -> str:
    """Give the first part that is there. Raises ValueError where none is."""
    for name in names:
        if isinstance(part := credential.get(name), str) and part:
            return part
    raise ValueError(names[0])
