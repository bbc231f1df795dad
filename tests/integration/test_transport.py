"""One request against hosts that do not behave, over real sockets."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web
from yarl import URL

from exporter.errors import BadResponse, ConnectionFailed, PollError, RequestTimeout, TlsFailed
from exporter.http.transport import Api, Request, Response
from exporter.polling.connections import account_session, account_transport
from exporter.settings import ApiSettings
from support import FakeClock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN = {"X-Auth-Token": "t"}


class Heard:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.codes: list[str] = []

    def request_ended(self, api: Api, code: str, seconds: float, response: Response | None) -> None:
        assert (api, seconds, response is None) == ("sms", 0.0, code == "error")
        self.codes.append(code)


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[URL]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield URL(f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/v3/sources")
    finally:
        await runner.cleanup()


async def send(url: URL, heard: Heard, headers: Mapping[str, str] = TOKEN, **api: object) -> Response:
    options = ApiSettings.model_validate({"max_response_size": 1000, **api})
    async with account_session(options) as session:
        transport = account_transport(options, session, "sms", FakeClock(), heard)
        return await transport.send(Request("GET", url, headers))


async def failure(url: URL, **options: object) -> tuple[PollError, list[str]]:
    heard = Heard()
    with pytest.raises(PollError) as caught:
        await send(url, heard, **options)  # type: ignore[arg-type]
    return caught.value, heard.codes


async def test_a_response_comes_whole_whatever_its_status() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"agent": request.headers["User-Agent"]}, status=503)

    heard = Heard()
    async with serving(refuse) as url:
        response = await send(url, heard)
    assert (response.status, heard.codes) == (503, ["503"])
    assert b"huaweicloud-sms-exporter/" in response.body


async def test_a_redirect_is_refused_and_what_authenticates_does_not_follow_it() -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.headers.get("X-Auth-Token", ""))
        return web.Response()

    async with serving(elsewhere) as other:

        async def redirect(_: web.Request) -> web.Response:
            raise web.HTTPFound(str(other))

        async with serving(redirect) as url:
            error, codes = await failure(url)
    assert isinstance(error, BadResponse)
    assert "redirect" in error.message
    assert "127.0.0.1" in error.message
    assert (asked, codes) == ([], ["302"])


async def test_a_body_over_the_limit_is_refused_while_it_comes() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 500)
        return response

    async with serving(endless) as url:
        error, codes = await failure(url)
    assert isinstance(error, BadResponse)
    assert "more than 1000 bytes" in error.message
    assert codes == ["error"]


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused() -> None:
    async def bomb(_: web.Request) -> web.Response:
        response = web.Response(body=b"0" * 100_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(bomb) as url:
        error, _ = await failure(url)
    assert isinstance(error, BadResponse)


async def test_silence_ends_in_a_timeout() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(hang) as url:
        error, codes = await failure(url, read_timeout="50ms")
    assert (type(error), codes) == (RequestTimeout, ["error"])


async def test_nobody_there_is_a_failed_connection() -> None:
    error, codes = await failure(URL("http://127.0.0.1:9/"))
    assert (type(error), codes) == (ConnectionFailed, ["error"])


async def test_a_response_that_breaks_off_is_a_failed_connection() -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "500"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(break_off) as url:
        error, _ = await failure(url)
    assert type(error) is ConnectionFailed


async def test_what_is_not_http_is_a_bad_response() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        error, _ = await failure(URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert isinstance(error, BadResponse)


async def ok(_: web.Request) -> web.Response:
    return web.Response(body=b"{}")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_certificate_of_an_unknown_authority_is_refused(tls: ssl.SSLContext) -> None:
    async with serving(ok, tls) as url:
        error, codes = await failure(url)
    assert (type(error), codes) == (TlsFailed, ["error"])
    assert "api.ca-file" in error.hint


async def test_a_ca_bundle_of_ones_own_is_trusted(tls: ssl.SSLContext, authority: trustme.CA) -> None:
    async with serving(ok, tls) as url:
        with authority.cert_pem.tempfile() as bundle:
            assert (await send(url, Heard(), ca_file=bundle)).status == 200


async def test_any_certificate_is_trusted_only_where_asked_for(tls: ssl.SSLContext) -> None:
    async with serving(ok, tls) as url:
        assert (await send(url, Heard(), insecure_skip_verify=True)).status == 200


async def test_requests_go_through_the_proxy_that_is_given() -> None:
    asked: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        asked.append(str(request.url))
        return web.Response(body=b"{}")

    async with serving(proxy) as url:
        response = await send(URL("http://sms.example.invalid/v3/sources"), Heard(), proxy=str(url.origin()))
    assert (response.status, asked) == (200, ["http://sms.example.invalid/v3/sources"])


@pytest.mark.parametrize(
    ("status", "said", "advised"),
    [
        ("403 Forbidden", "the proxy refused a connection to sms.example.invalid: status 403", "NO_PROXY"),
        ("407 Proxy Authentication Required", "the proxy wants a user and password", "USER:PASSWORD@"),
    ],
)
async def test_a_proxy_that_refuses_is_no_answer_of_the_api(status: str, said: str, advised: str) -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        url = f"http://user:s3cret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error, codes = await failure(URL("https://sms.example.invalid/"), proxy=url)
    assert (type(error), codes) == (ConnectionFailed, ["error"])
    assert said in error.message
    assert "api.proxy" in error.hint
    assert advised in error.hint
    assert "s3cret" not in error.message + error.hint


ELSEWHERE = URL("http://sms.example.invalid/")


@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_the_environments_proxy_is_obeyed(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(ok) as url:
        monkeypatch.setenv("http_proxy", f"{scheme}{url.authority}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert (await send(ELSEWHERE, Heard())).status == 200


@pytest.mark.parametrize("exempt", ["*", "127.0.0.1", ".0.0.1", "other, 127.0.0.1"])
async def test_a_host_that_the_environment_exempts_is_asked_without_a_proxy(
    exempt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(ok) as url:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", exempt)
        assert (await send(url, Heard())).status == 200


@pytest.mark.parametrize("given_by", ["option", "environment"])
async def test_a_proxy_is_told_the_password_of_its_url_and_nobody_else_is(
    given_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str | None, str | None]] = []

    async def proxy(request: web.Request) -> web.Response:
        told.append((request.headers.get("Proxy-Authorization"), request.headers.get("Authorization")))
        return web.Response(body=b"{}")

    async with serving(proxy) as url:
        with_password = str(url.origin().with_user("user").with_password("p@ss"))
        monkeypatch.setenv("http_proxy", with_password if given_by == "environment" else "")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        await send(ELSEWHERE, Heard(), proxy=with_password if given_by == "option" else None)
    assert told == [(aiohttp.encode_basic_auth("user", "p@ss"), None)]


@pytest.mark.parametrize("headers", [TOKEN, {"Authorization": "SDK-HMAC-SHA256 signature"}])
async def test_no_password_is_taken_from_a_netrc(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str | None] = []

    async def api(request: web.Request) -> web.Response:
        told.append(request.headers.get("Authorization"))
        return web.Response()

    file = tmp_path / "netrc"
    file.write_text("default login somebody password unrelated\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    async with serving(api) as url:
        await send(url, Heard(), headers)
    assert told == [headers.get("Authorization")]


async def test_a_cookie_of_one_answer_does_not_travel_with_the_next_request() -> None:
    cookies: list[str] = []

    async def bake(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie", ""))
        response = web.Response()
        response.set_cookie("session", "x")
        return response

    async with serving(bake) as url, account_session(ApiSettings()) as session:
        transport = account_transport(ApiSettings(), session, "sms", FakeClock(), Heard())
        for _ in range(2):
            await transport.send(Request("GET", url))
    assert cookies == ["", ""]


async def test_the_session_is_of_one_account_alone() -> None:
    async with account_session(ApiSettings()) as one, account_session(ApiSettings()) as other:
        assert isinstance(one, aiohttp.ClientSession)
        assert one.connector is not other.connector
