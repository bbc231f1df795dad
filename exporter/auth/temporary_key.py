"""Temporary access keys that a service on the machine issues: the ECS metadata service, pod identity."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from yarl import URL

from exporter.auth.renewal import Lease, parse_expiry
from exporter.auth.secret import Secret, clean_secret
from exporter.auth.signing import AccessKey
from exporter.clock import Clock
from exporter.errors import AuthError, PollError, ServerFault, Throttled
from exporter.http.api_errors import api_error
from exporter.http.transport import Request, Response, Transport
from exporter.language import Translatable

METADATA_TOKEN_SECONDS: Final = 21_600
_NO_METADATA_TOKEN: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.SERVICE_UNAVAILABLE)
"""Statuses of services that issue keys without a token of their own."""

_FIELDS: Final = {
    "access key": ("access", "accessKeyId", "access_key_id"),
    "secret key": ("secret", "secretAccessKey", "secret_access_key"),
    "security token": ("securitytoken", "securityToken", "security_token"),
    "end": ("expires_at", "expiration"),
}
"""The names that the services use for the parts of a key; the official SDK reads the same."""


class EcsMetadata:
    """The ECS metadata service at `base_url`, which issues keys of the server's agency."""

    source = Translatable("temporary key of this server's agency (ECS metadata service)")

    def __init__(self, base_url: str, transport: Transport, clock: Clock) -> None:
        self._base_url = base_url
        self._transport = transport
        self._answers = _Answers(
            Translatable("the ECS metadata service"),
            Translatable("bind an agency to this server that is allowed to list SMS servers"),
            clock,
        )

    async def identity(self) -> tuple[str, ...]:
        """Return the address of the service: it issues the same key to all accounts."""
        return (self._base_url,)

    async def issue(self) -> Lease[AccessKey]:
        """Return a new key."""
        url = URL(f"{self._base_url}/openstack/latest/securitykey")
        token_response = await self._request_token()
        headers = {}
        if token_response.status == HTTPStatus.OK and token_response.body:
            token = token_response.body.decode("ascii", "replace")
            headers = {"X-Metadata-Token": clean_secret("the token of the ECS metadata service", token)}
        response = await self._transport.send(Request("GET", url, headers))
        if response.status == HTTPStatus.UNAUTHORIZED and token_response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise self._answers.failure(token_response)  # the service requires the token that it could not issue
        return self._answers.lease(response)

    async def _request_token(self) -> Response:
        """Request the token that newer services require; older ones do not know it."""
        url = URL(f"{self._base_url}/meta-data/latest/api/token")
        header = {"X-Metadata-Token-Ttl-Seconds": str(METADATA_TOKEN_SECONDS)}
        response = await self._transport.send(Request("PUT", url, header))
        if response.status not in (HTTPStatus.OK, *_NO_METADATA_TOKEN):
            raise self._answers.failure(response)
        return response


class PodIdentity:
    """The identity service of a pod, at the address and with the token that the pod's environment names."""

    source = Translatable("temporary key of this pod's identity")

    def __init__(self, url: str, token: Secret, transport: Transport, clock: Clock) -> None:
        self._url = URL(url)
        self._token = token
        self._transport = transport
        self._answers = _Answers(
            Translatable("the pod identity service"),
            Translatable("check the identity that is bound to this pod"),
            clock,
        )

    async def identity(self) -> tuple[str, ...]:
        """Return the address of the service and the pod's token."""
        return str(self._url), await self._token.read()

    async def issue(self) -> Lease[AccessKey]:
        """Return a new key."""
        headers = {"Authorization": await self._token.read(), "Content-Type": "application/json"}
        return self._answers.lease(await self._transport.send(Request("POST", self._url, headers, b"{}")))


class _Answers:
    """Reads the answers of `service`; `hint` says what to do if it issues no key."""

    def __init__(self, service: Translatable, hint: Translatable, clock: Clock) -> None:
        self._service = service
        self._hint = hint
        self._clock = clock

    def lease(self, response: Response) -> Lease[AccessKey]:
        """Return the key in an answer and its end. Raise PollError if there is none."""
        if response.status != HTTPStatus.OK:
            raise self.failure(response)
        try:
            content = msgspec.json.decode(response.body, type=dict[str, dict[str, object]])
            credential = content.get("credential") or content.get("credentials") or {}
            parts = {part: _first(credential, names) for part, names in _FIELDS.items()}
            expires_at = parse_expiry(self._service, parts.pop("end"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            # The body may contain half of a key, so it is not part of the message.
            raise AuthError(f"{self._service} answered 200 without a temporary key", hint=self._hint) from None
        key = (clean_secret(f"the {part} of {self._service}", text) for part, text in parts.items())
        return Lease(AccessKey(*key), expires_at)

    def failure(self, response: Response) -> PollError:
        """Return what a status other than 200 means: a fault that may pass is not a refusal."""
        failure = api_error(response, now=self._clock.time())
        may_pass = isinstance(failure, ServerFault | Throttled)
        return (type(failure) if may_pass else AuthError)(
            f"{self._service} answered {response.status}",
            hint=Translatable("if this lasts, check %(service)s", service=self._service) if may_pass else self._hint,
            status=response.status,
            retry_after=failure.retry_after if may_pass else None,
        )


def _first(credential: Mapping[str, object], names: Sequence[str]) -> str:
    """Return the first part that is present. Raise ValueError if none is."""
    for name in names:
        if isinstance(part := credential.get(name), str) and part:
            return part
    raise ValueError
