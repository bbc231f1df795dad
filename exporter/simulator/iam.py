"""A stand-in for IAM: tokens for passwords, the catalogue, and the lists of projects and domains."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from exporter.simulator.authentication import Authenticator
from exporter.simulator.errors import iam_error
from exporter.simulator.faults import Stage
from exporter.simulator.injection import APPLIED_FAULTS
from exporter.simulator.inventory import identifier
from exporter.simulator.tokens import Tokens, User

REGIONS: Final = ("cn-north-4", "ap-southeast-3", "my-kualalumpur-1", "ru-moscow-1")
"""The regions in which every domain has a project of the same name."""
MAX_WRONG_PASSWORDS: Final = 5
MAX_TOKEN: Final = 16_384
"""The length of the longest tokens, in characters."""
LOCK_SECONDS: Final = 15 * 60.0
"""How long a user is locked after that many wrong passwords in a row."""


class Iam:
    """Serves IAM for `users`; `token_lifetime` is in seconds, `now` returns seconds since the epoch."""

    def __init__(
        self,
        users: Sequence[User],
        tokens: Tokens,
        authenticator: Authenticator,
        *,
        now: Callable[[], float],
        token_lifetime: float,
    ) -> None:
        self._users = {(user.domain, user.name): user for user in users}
        self._tokens = tokens
        self._authenticator = authenticator
        self._now = now
        self._token_lifetime = token_lifetime
        self._wrong: dict[User, int] = {}
        self._locked_until: dict[User, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of IAM."""
        return [
            web.post("/v3/auth/tokens", self.create_token),
            web.get("/v3/projects", self.list_projects),
            web.get("/v3/auth/domains", self.list_domains),
            web.get("/v3/auth/catalog", self.show_catalog),
        ]

    async def create_token(self, request: web.Request) -> web.Response:
        """Issue a token for a password: 201, with the token in `X-Subject-Token`."""
        content = await _read(request)
        user = self._identify(content)
        project = _scope(content, user)
        now = self._now()
        lengths = [int(fault.value or MAX_TOKEN) for fault in request[APPLIED_FAULTS] if fault.stage is Stage.TOKEN]
        token = self._tokens.issue(user, expires_at=now + self._token_lifetime, length=max(lengths, default=0))
        domain = {"id": domain_id(user.domain), "name": user.domain}
        body: dict[str, Any] = {
            "methods": ["password"],
            "issued_at": timestamp(now),
            "expires_at": timestamp(now + self._token_lifetime),
            "roles": [],
            "user": {"id": _hex("user", user.domain, user.name), "name": user.name, "domain": domain},
        }
        if project is not None:
            body["project"] = {"id": project_id(project), "name": project, "domain": domain}
        else:
            body["domain"] = domain
        if "nocatalog" not in request.query:
            body["catalog"] = []
        return web.json_response(
            {"token": body},
            status=HTTPStatus.CREATED,
            headers={"X-Subject-Token": token},
        )

    async def list_projects(self, request: web.Request) -> web.Response:
        """Return all projects, or the one with the name `name`."""
        await self._authenticator.authenticate(request)
        wanted = request.query.get("name")
        projects = [
            {"id": project_id(name), "name": name, "enabled": True, "is_domain": False, "description": ""}
            for name in REGIONS
            if wanted in {None, name}
        ]
        return web.json_response({"projects": projects, "links": {}})

    async def list_domains(self, request: web.Request) -> web.Response:
        """Return the domains."""
        await self._authenticator.authenticate(request)
        names = dict.fromkeys(domain for domain, _ in self._users)
        domains = [{"id": domain_id(name), "name": name, "enabled": True} for name in names]
        return web.json_response({"domains": domains, "links": {}})

    async def show_catalog(self, request: web.Request) -> web.Response:
        """Return the catalogue of services: this simulator is IAM and SMS."""
        await self._authenticator.authenticate(request)
        url = str(request.url.origin())
        catalog = [_service("iam", "identity", f"{url}/v3", "*"), _service("sms", "sms", url, "cn-north-4")]
        return web.json_response({"catalog": catalog, "links": {"self": str(request.url)}})

    def _identify(self, content: object) -> User:
        methods = _at(content, "auth", "identity", "methods")
        given = _at(content, "auth", "identity", "password", "user")
        if methods != ["password"] or not isinstance(given, dict):
            raise iam_error(HTTPStatus.BAD_REQUEST, "The method password and its user are expected.")
        user = self._users.get((str(_at(given, "domain", "name")), str(given.get("name"))))
        if user is None:
            raise iam_error(HTTPStatus.UNAUTHORIZED, "The username or password is wrong.")
        if self._now() < self._locked_until.get(user, 0.0):
            raise iam_error(HTTPStatus.UNAUTHORIZED, "The user is locked. Try again later.")
        if given.get("password") != user.password:
            self._count_wrong(user)
            raise iam_error(HTTPStatus.UNAUTHORIZED, "The username or password is wrong.")
        self._wrong.pop(user, None)
        return user

    def _count_wrong(self, user: User) -> None:
        self._wrong[user] = self._wrong.get(user, 0) + 1
        if self._wrong[user] >= MAX_WRONG_PASSWORDS:
            del self._wrong[user]
            self._locked_until[user] = self._now() + LOCK_SECONDS


def _scope(content: object, user: User) -> str | None:
    """Return the requested project, None for a domain. Raise ErrorResponse if it is unknown."""
    domain = _at(content, "auth", "scope", "domain")
    if isinstance(domain, dict):
        if domain.get("name") == user.domain or domain.get("id") == domain_id(user.domain):
            return None
        raise iam_error(HTTPStatus.UNAUTHORIZED, "The scoped domain is not the user's.")
    project = _at(content, "auth", "scope", "project")
    if not isinstance(project, dict):
        return None
    for name in REGIONS:
        if project.get("name") == name or project.get("id") == project_id(name):
            return name
    raise iam_error(HTTPStatus.UNAUTHORIZED, "The scoped project could not be found.")


async def _read(request: web.Request) -> object:
    try:
        return msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise iam_error(HTTPStatus.BAD_REQUEST, "The request body is not JSON.") from error


def _at(content: object, *path: str) -> object:
    for name in path:
        if not isinstance(content, dict):
            return None
        content = content.get(name)
    return content


def _service(name: str, kind: str, url: str, region: str) -> dict[str, Any]:
    endpoint = {"id": _hex("endpoint", name), "interface": "public", "region": region, "region_id": region, "url": url}
    return {"id": _hex("service", name), "name": name, "type": kind, "endpoints": [endpoint]}


def _hex(*parts: str) -> str:
    return identifier(*parts).replace("-", "")


def project_id(name: str) -> str:
    """Return the id of the project of a region: 32 hexadecimal digits."""
    return _hex("project", name)


def domain_id(name: str) -> str:
    """Return the id of a domain: 32 hexadecimal digits."""
    return _hex("domain", name)


def timestamp(moment: float) -> str:
    """Format seconds since the epoch as IAM does: UTC with microseconds."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
