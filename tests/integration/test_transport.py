"""One request to servers that misbehave, over real sockets."""

import asyncio
import base64
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import aiohttp
import pytest
import trustme
from aiohttp import web
from yarl import URL

from exporter.errors import BadResponse, ConfigurationError, ConnectionFailed, PollError, RequestTimeout, TlsFailed
from exporter.http.api_errors import api_error
from exporter.http.transport import Api, Request, Response
from exporter.polling.connections import Runtime, account_session, account_transport
from exporter.settings import ApiSettings
from support import NOW, NOWHERE, FakeClock, Unobserved

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

StreamHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

TOKEN = {"X-Auth-Token": "t"}


class CodeRecorder:
    """An observer that records the code of each request."""

    def __init__(self) -> None:
        self.codes: list[str] = []

    def request_ended(self, api: Api, _: Request, code: str, seconds: float, response: Response | None) -> None:
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


@contextlib.asynccontextmanager
async def tcp_server(handle: StreamHandler) -> AsyncIterator[int]:
    """Serve raw connections, and return the port; the client closes them."""
    connections = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        await handle(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, connections))


async def send(
    url: URL,
    recorder: CodeRecorder,
    headers: Mapping[str, str] = TOKEN,
    environ: Mapping[str, str] = MappingProxyType({}),
    **api: object,
) -> Response:
    options = ApiSettings.model_validate({"max_response_size": 1000, **api})
    clock = FakeClock(NOW - 5)
    clock.advance(5)
    async with account_session(options) as session:
        transport = account_transport(options, session, "sms", Runtime(clock, environ, NOWHERE), recorder)
        return await transport.send(Request("GET", url, headers))


async def failure(url: URL, **options: object) -> tuple[PollError, list[str]]:
    recorder = CodeRecorder()
    with pytest.raises(PollError) as caught:
        await send(url, recorder, **options)  # type: ignore[arg-type]
    return caught.value, recorder.codes


async def test_a_response_is_returned_whatever_its_status() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"agent": request.headers["User-Agent"]}, status=503)

    recorder = CodeRecorder()
    async with serving(refuse) as url:
        response = await send(url, recorder)
    assert (response.status, recorder.codes) == (503, ["503"])
    assert b"huaweicloud-sms-exporter/" in response.body


async def test_a_redirect_is_refused_and_the_credentials_do_not_follow_it() -> None:
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


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://elsewhere.example/x", "elsewhere.example"),
        ("/v3/other", "the same host"),
        ("", "the same host"),
        ("https://[::1", "an unreadable address"),
    ],
)
async def test_a_refused_redirect_names_where_it_leads(location: str, host: str) -> None:
    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": location, "X-Request-Id": "r1"})

    async with serving(redirect) as url:
        error, _ = await failure(url)
    assert error.message == f"127.0.0.1 answered 307, a redirect to {host}; redirects are refused"
    assert (error.status, error.request_id) == (307, "r1")
    assert "api.endpoint" in str(error.hint)


@pytest.mark.parametrize(("status", "is_redirect"), [(299, False), (300, True), (399, True), (400, False)])
async def test_every_status_of_the_class_of_redirects_is_refused(status: int, *, is_redirect: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(answer) as url:
        if is_redirect:
            assert (await failure(url))[0].status == status
        else:
            assert (await send(url, CodeRecorder())).status == status


@pytest.mark.parametrize(("size", "is_read"), [(1000, True), (1001, False)])
async def test_a_body_is_read_up_to_the_limit(size: int, *, is_read: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * size)

    async with serving(answer) as url:
        if is_read:
            assert len((await send(url, CodeRecorder())).body) == size
        else:
            assert (await failure(url))[0].message == "127.0.0.1 sent more than 1000 bytes"


@pytest.mark.parametrize(
    ("date", "skew"),
    [("Fri, 15 Jan 2027 08:00:00 GMT", 0), ("Fri, 15 Jan 2027 07:59:50 GMT", 10), ("yesterday", None), ("", None)],
)
async def test_the_clock_skew_is_that_of_the_date_of_the_response(date: str, skew: float | None) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(headers={"Date": date})

    async with serving(answer) as url:
        assert (await send(url, CodeRecorder())).clock_skew == skew


async def test_the_body_of_a_request_is_sent_as_it_is() -> None:
    received: list[tuple[str, bytes]] = []

    async def echo(request: web.Request) -> web.Response:
        received.append((request.method, await request.read()))
        return web.Response()

    async with serving(echo) as url, account_session(ApiSettings()) as session:
        transport = account_transport(ApiSettings(), session, "sms", Runtime(FakeClock(), {}, NOWHERE), CodeRecorder())
        for method, body in (("POST", b'{"a": 1}'), ("GET", b"")):
            await transport.send(Request(method, url, body=body))
    assert received == [("POST", b'{"a": 1}'), ("GET", b"")]


async def test_what_authenticates_a_request_is_not_shown_if_the_answer_repeats_it() -> None:
    headers = {"X-Auth-Token": "t0ken-of-the-account", "Accept": "application/json", "authorization": "AK s1gnature"}

    async def repeat(request: web.Request) -> web.Response:
        repeated = " ".join(request.headers[name] for name in headers)
        return web.json_response({"code": "C", "message": f"cannot read {repeated} s3cret"}, status=400)

    async with serving(repeat) as url, account_session(ApiSettings()) as session:
        transport = account_transport(ApiSettings(), session, "sms", Runtime(FakeClock(), {}, NOWHERE), CodeRecorder())
        response = await transport.send(Request("GET", url, headers, secrets=("s3cret",)))
    message = api_error(response, now=0.0).message
    assert message.endswith("cannot read [redacted] application/json [redacted] [redacted]")


def test_the_secrets_of_a_response_are_not_part_of_its_representation() -> None:
    assert "s3cret" not in repr(Response(200, {}, b"", secrets=("s3cret",)))


async def test_a_body_over_the_limit_is_refused_before_it_ends() -> None:
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


async def test_a_small_body_that_decompresses_to_a_large_one_is_refused() -> None:
    async def bomb(_: web.Request) -> web.Response:
        response = web.Response(body=b"0" * 100_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(bomb) as url:
        error, _ = await failure(url)
    assert isinstance(error, BadResponse)


async def test_a_server_that_sends_nothing_is_a_timeout() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(hang) as url:
        error, codes = await failure(url, read_timeout="50ms")
    assert (type(error), codes) == (RequestTimeout, ["error"])
    assert error.message == "127.0.0.1 sent no response within 0.05 seconds"


async def test_a_closed_port_is_a_failed_connection() -> None:
    error, codes = await failure(URL("http://127.0.0.1:9/"))
    assert (type(error), codes) == (ConnectionFailed, ["error"])
    assert error.message == "the connection to 127.0.0.1 failed: Connection refused"


async def test_a_response_that_ends_early_is_a_failed_connection() -> None:
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


def answering(answer: bytes) -> StreamHandler:
    """Return a handler that sends these bytes in answer to a request, whatever they are."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return respond


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "Bad status line"),
        (b"\x16\x03\x01\x02\x00\x01", "Bad status line"),
        (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", "Invalid character in chunk size"),
        (CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n", "Invalid character in chunk size"),
        (HEAD + b"Content-Length: -1\r\n\r\n{}", "Invalid character in Content-Length"),
        (HEAD + b"Content-Length: " + b"9" * 23 + b"\r\n\r\n{}", "Content-Length overflow"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "Duplicate Content-Length"),
        (
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            "Transfer-Encoding can't be present with Content-Length",
        ),
        (HEAD + b"X: y\r\n" * 5000 + b"\r\n", "Too many headers received"),
        (HEAD + b"X: " + b"s3cret" * 6000 + b"\r\n\r\n", "Got more than 32768 bytes when reading"),
    ],
)
async def test_a_response_that_is_not_http_is_a_bad_response_with_the_words_of_the_parser(
    answer: bytes, reason: str
) -> None:
    async with tcp_server(answering(answer)) as port:
        error, codes = await failure(URL(f"http://127.0.0.1:{port}/"))
    assert (type(error), codes) == (BadResponse, ["error"])
    assert error.message == f"127.0.0.1 sent a response that is not valid HTTP: {reason}"
    assert "api.endpoint" in error.hint


GZIPPED = gzip.compress(b'{"count": 0, "source_servers": []}', mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body", "named"),
    [
        ("gzip", b'{"count": 0, "source_servers": []}', "gzip"),
        ("gzip", GZIPPED[:-8] + b"12345678", "gzip"),
        ("gzip", GZIPPED + b"garbage", "gzip"),
        ("deflate", b'{"count": 0, "source_servers": []}', "deflate"),
        ("br", b"{}", "brotli (br)"),
        ("zstd", b"{}", "zstandard (zstd)"),
    ],
)
async def test_a_body_that_cannot_be_decompressed_is_a_bad_response(encoding: str, body: bytes, named: str) -> None:
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with tcp_server(answering(HEAD + head + body)) as port:
        error, codes = await failure(URL(f"http://127.0.0.1:{port}/"))
    assert (type(error), codes) == (BadResponse, ["error"])
    assert error.message == f"127.0.0.1 sent a body that cannot be decompressed: {named}"
    assert "gateway or proxy" in error.hint


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
async def test_a_body_in_any_encoding_of_json_is_read(encoding: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body='{"name": "华为"}'.encode(encoding))

    async with serving(answer) as url:
        response = await send(url, CodeRecorder())
    assert response.body == '{"name": "华为"}'.encode()


@pytest.mark.parametrize("body", [b"", b"\xff", b"\xff\xfe\xff", b"\x00\x00\xfe\xff\x00", b"\xff\xfe\x00\xd8"])
async def test_a_body_in_no_encoding_is_read_without_an_error(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with serving(answer) as url:
        assert (await send(url, CodeRecorder())).status == 200


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


async def test_the_authorities_of_the_ca_file_are_trusted(tls: ssl.SSLContext, authority: trustme.CA) -> None:
    async with serving(ok, tls) as url:
        with authority.cert_pem.tempfile() as bundle:
            assert (await send(url, CodeRecorder(), ca_file=bundle)).status == 200


async def test_all_sessions_with_the_same_authorities_share_their_memory(tmp_path: Path) -> None:
    bundles = [tmp_path / name for name in ("one.pem", "same.pem", "other.pem")]
    for bundle, authority in zip(bundles, [trustme.CA()] * 2 + [trustme.CA()], strict=True):
        authority.cert_pem.write_to_path(bundle)
    contexts = []
    for bundle in bundles:
        async with account_session(ApiSettings(ca_file=bundle)) as session:
            contexts.append(session.connector._ssl)  # type: ignore[union-attr]  # every session has one
    assert contexts[0] is contexts[1]
    assert contexts[0] is not contexts[2]


async def test_a_ca_file_that_has_become_unusable_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    options = ApiSettings(ca_file=bundle)
    bundle.write_text("no certificate")
    with pytest.raises(ConfigurationError) as error:
        async with account_session(options):
            pass
    assert error.value.lines == (f"api.ca-file: {bundle}: contains no certificate in PEM or DER",)


async def test_any_certificate_is_trusted_if_verification_is_off(tls: ssl.SSLContext) -> None:
    async with serving(ok, tls) as url:
        assert (await send(url, CodeRecorder(), insecure_skip_verify=True)).status == 200


async def test_requests_go_through_the_proxy_of_the_option() -> None:
    asked: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        asked.append(str(request.url))
        return web.Response(body=b"{}")

    async with serving(proxy) as url:
        response = await send(URL("http://sms.example.invalid/v3/sources"), CodeRecorder(), proxy=str(url.origin()))
    assert (response.status, asked) == (200, ["http://sms.example.invalid/v3/sources"])


BEHIND_TLS = URL("https://sms.example.invalid/")
ELSEWHERE = URL("http://sms.example.invalid/")
REQUIRED = "407 Proxy Authentication Required"


@pytest.mark.parametrize(
    ("url", "status", "user", "said", "advised", "pause"),
    [
        (BEHIND_TLS, "403 Forbidden", "user:s3cret@", "refused a connection to sms.example.invalid", "NO_PROXY", None),
        (BEHIND_TLS, "302 Found", "", "refused a connection to sms.example.invalid", "NO_PROXY", None),
        (BEHIND_TLS, REQUIRED, "", "requires a user and a password", "USER:PASSWORD@", None),
        (BEHIND_TLS, REQUIRED, "user:s3cret@", "refused the user and the password", "correct them in api.proxy", 300),
        (ELSEWHERE, REQUIRED, "", "requires a user and a password", "USER:PASSWORD@", None),
        (ELSEWHERE, REQUIRED, "t0ken@", "refused the user and the password", "correct them in api.proxy", 300),
    ],
)
async def test_a_refusal_by_the_proxy_is_not_a_response_of_the_api(
    url: URL, status: str, user: str, said: str, advised: str, pause: float | None
) -> None:
    async with tcp_server(answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())) as port:
        error, codes = await failure(url, proxy=f"http://{user}127.0.0.1:{port}")
    assert (type(error), codes) == (ConnectionFailed, ["error"])
    assert error.message.startswith(f"the proxy 127.0.0.1 {said}")
    assert error.message.endswith(f": status {status[:3]}")
    assert "api.proxy" in error.hint
    assert advised in error.hint
    assert "s3cret" not in error.message + error.hint
    assert error.retry_after == pause


async def test_a_password_that_the_proxy_refused_is_not_sent_by_other_requests_for_five_minutes() -> None:
    sent: list[float] = []

    async def refuse(_: web.Request) -> web.Response:
        sent.append(clock.monotonic())
        return web.Response(status=407)

    clock = FakeClock()
    async with serving(refuse) as url:
        options = ApiSettings.model_validate({"proxy": str(url.origin().with_user("user").with_password("wrong"))})
        async with account_session(options) as session:
            runtime = Runtime(clock, {}, NOWHERE)
            transport = account_transport(options, session, "sms", runtime, Unobserved())
            pauses = []
            for _ in range(4):
                with pytest.raises(ConnectionFailed, match="refused the user and the password") as error:
                    await transport.send(Request("GET", ELSEWHERE))
                pauses.append(error.value.retry_after)
                clock.advance(100)
    assert [moment - sent[0] for moment in sent] == [0, 300]
    assert pauses == [300, 200, 100, 300]


THROUGH = "sms.example.invalid through the proxy 127.0.0.1"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.mark.parametrize(
    ("url", "answer", "kind", "message", "hint"),
    [
        (
            BEHIND_TLS, ESTABLISHED + b"no TLS at all", ConnectionFailed,
            f"the connection to {THROUGH} failed during the TLS handshake: Connection reset by peer", "check the proxy",
        ),
        (
            BEHIND_TLS, b"\x05\x00", BadResponse,
            "the proxy 127.0.0.1 sent a response that is not valid HTTP: Bad status line", "SOCKS",
        ),
        (
            ELSEWHERE, b"\x05\x00", BadResponse,
            f"{THROUGH} sent a response that is not valid HTTP: Bad status line", "api.endpoint",
        ),
        (
            BEHIND_TLS, b"", ConnectionFailed,
            "the proxy 127.0.0.1 closed the connection without a response", "check the proxy",
        ),
        (
            ELSEWHERE, b"", ConnectionFailed, f"{THROUGH} closed the connection without a response", "check the proxy",
        ),
        (
            ELSEWHERE, HEAD + b"Content-Length: 9\r\n\r\n{", ConnectionFailed,
            f"{THROUGH} closed the connection in the middle of a response", "check the proxy",
        ),
    ],
)  # fmt: skip
async def test_a_failure_of_the_proxy_names_the_proxy(
    url: URL, answer: bytes, kind: type[PollError], message: str, hint: str
) -> None:
    async with tcp_server(answering(answer)) as port:
        error, codes = await failure(url, proxy=f"http://127.0.0.1:{port}")
    assert (type(error), error.message, codes) == (kind, message, ["error"])
    assert hint in error.hint


@pytest.mark.parametrize("url", [BEHIND_TLS, ELSEWHERE])
@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("http://127.0.0.1:9", "the connection to the proxy 127.0.0.1 failed: Connection refused"),
        ("http://proxy.invalid:3128", "the name of the proxy proxy.invalid could not be resolved: "),
    ],
)
async def test_a_proxy_that_cannot_be_reached_is_named(url: URL, proxy: str, message: str) -> None:
    error, _ = await failure(url, proxy=proxy)
    assert type(error) is ConnectionFailed
    assert error.message.startswith(message)
    assert error.hint == "check the proxy: api.proxy, HTTPS_PROXY and NO_PROXY"


async def test_a_proxy_that_does_not_speak_tls_is_named() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with tcp_server(refuse) as port:
        error, _ = await failure(BEHIND_TLS, proxy=f"https://127.0.0.1:{port}")
    assert type(error) is TlsFailed
    assert error.message.startswith("the TLS handshake with the proxy 127.0.0.1 failed: ")
    assert "api.proxy" in error.hint


@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_requests_go_through_the_proxy_of_the_environment(scheme: str) -> None:
    async with serving(ok) as url:
        environ = {"http_proxy": f"{scheme}{url.authority}"}
        assert (await send(ELSEWHERE, CodeRecorder(), environ=environ)).status == 200


async def test_a_host_in_no_proxy_is_reached_without_a_proxy() -> None:
    async with serving(ok) as url:
        environ = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "other, 127.0.0.0/8"}
        assert (await send(url, CodeRecorder(), environ=environ)).status == 200


@pytest.mark.parametrize("password", ["p@ss", "päss", "пароль"])
@pytest.mark.parametrize("given_by", ["option", "environment"])
async def test_only_the_proxy_gets_the_password_of_its_url(given_by: str, password: str) -> None:
    received: list[tuple[str | None, str | None]] = []

    async def proxy(request: web.Request) -> web.Response:
        received.append((request.headers.get("Proxy-Authorization"), request.headers.get("Authorization")))
        return web.Response(body=b"{}")

    async with serving(proxy) as url:
        with_password = str(url.origin().with_user("user").with_password(password))
        if given_by == "option":
            await send(ELSEWHERE, CodeRecorder(), proxy=with_password)
        else:
            await send(ELSEWHERE, CodeRecorder(), environ={"HTTP_PROXY": with_password})
    expected = "Basic " + base64.b64encode(f"user:{password}".encode()).decode()
    assert received == [(expected, None)]


async def test_a_proxy_that_repeats_the_request_in_an_error_does_not_show_its_password() -> None:
    async def proxy(request: web.Request) -> web.Response:
        header = request.headers["Proxy-Authorization"]
        clear = base64.b64decode(header.removeprefix("Basic ")).decode()
        error = {"error_code": "P", "error_msg": f"hdr {header} {clear} {clear.partition(':')[2]}"}
        return web.json_response(error, status=400, headers={"X-Request-Id": header})

    async with serving(proxy) as url:
        with_password = str(url.origin().with_user("us").with_password("PrX@Secret9"))
        response = await send(ELSEWHERE, CodeRecorder(), proxy=with_password)
    error = api_error(response, now=0.0)
    assert "(P): hdr Basic [redacted] [redacted] [redacted]" in error.message
    assert error.request_id == "Basic [redacted]"


async def test_a_connect_carries_the_password_of_the_proxy_and_no_credentials_of_the_api() -> None:
    heads: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with tcp_server(proxy) as port:
        await failure(URL("https://sms.example.invalid/"), proxy=f"http://user:s3cret@127.0.0.1:{port}")
    (head,) = heads
    assert b"Proxy-Authorization: Basic dXNlcjpzM2NyZXQ=" in head
    assert b"X-Auth-Token" not in head


@pytest.mark.parametrize("headers", [TOKEN, {"Authorization": "SDK-HMAC-SHA256 signature"}])
async def test_no_password_is_taken_from_a_netrc(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    received: list[str | None] = []

    async def api(request: web.Request) -> web.Response:
        received.append(request.headers.get("Authorization"))
        return web.Response()

    file = tmp_path / "netrc"
    file.write_text("default login somebody password unrelated\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    async with serving(api) as url:
        await send(url, CodeRecorder(), headers)
    assert received == [headers.get("Authorization")]


async def test_a_cookie_of_one_response_is_not_sent_with_the_next_request() -> None:
    cookies: list[str] = []

    async def bake(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie", ""))
        response = web.Response()
        response.set_cookie("session", "x")
        return response

    async with serving(bake) as url, account_session(ApiSettings()) as session:
        transport = account_transport(ApiSettings(), session, "sms", Runtime(FakeClock(), {}, NOWHERE), CodeRecorder())
        for _ in range(2):
            await transport.send(Request("GET", url))
    assert cookies == ["", ""]


async def test_accounts_share_no_connections() -> None:
    async with account_session(ApiSettings()) as one, account_session(ApiSettings()) as other:
        assert isinstance(one, aiohttp.ClientSession)
        assert one.connector is not other.connector


async def test_a_request_waits_for_no_other_request_of_its_account() -> None:
    requests = 120
    received = asyncio.Semaphore(0)
    all_received = asyncio.Event()

    async def answer_together(_: web.Request) -> web.Response:
        received.release()
        await all_received.wait()
        return web.Response()

    async with serving(answer_together) as url, account_session(ApiSettings()) as session:
        transport = account_transport(ApiSettings(), session, "sms", Runtime(FakeClock(), {}, NOWHERE), CodeRecorder())
        sending = [asyncio.ensure_future(transport.send(Request("GET", url))) for _ in range(requests)]
        for _ in range(requests):
            await received.acquire()
        all_received.set()
        assert {response.status for response in await asyncio.gather(*sending)} == {200}


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def tunnel_and_hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await reader.read()


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("handle", "scheme", "through_proxy", "message"),
    [
        (hang, "https", False, "the TLS handshake with 127.0.0.1 was not complete within 0.2 seconds"),
        (hang, "http", False, "127.0.0.1 sent no response within 0.1 seconds"),
        (hang, "https", True, "the proxy 127.0.0.1 did not connect to sms.example.invalid within 0.2 seconds"),
        (
            tunnel_and_hang,
            "https",
            True,
            "the TLS handshake with sms.example.invalid was not complete within 0.2 seconds",
        ),
        (hang, "http", True, "sms.example.invalid sent no response within 0.1 seconds"),
        (drip, "http", False, "127.0.0.1 did not send its complete response within 0.3 seconds"),
    ],
)
async def test_a_timeout_names_the_step_that_took_too_long(
    handle: StreamHandler, scheme: str, message: str, *, through_proxy: bool
) -> None:
    async with tcp_server(handle) as port:
        host = "sms.example.invalid" if through_proxy else f"127.0.0.1:{port}"
        proxy = {"proxy": f"http://127.0.0.1:{port}"} if through_proxy else {}
        limits = {"connect_timeout": "200ms", "read_timeout": "100ms", "max_response_size": 10**6}
        error, codes = await failure(URL(f"{scheme}://{host}/"), **limits, **proxy)
    assert (type(error), error.message, codes) == (RequestTimeout, message, ["error"])


async def test_a_connection_that_is_not_accepted_is_named() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with contextlib.ExitStack() as waiting:
            for _ in range(4):  # fill the queue of connections that nobody accepts
                client = waiting.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            error, _ = await failure(URL(f"http://127.0.0.1:{port}/"), connect_timeout="200ms")
    assert error.message == "127.0.0.1 did not accept a connection within 0.2 seconds"


async def test_a_server_without_tls_is_not_reported_as_a_certificate_problem() -> None:
    async with serving(ok) as url:
        error, _ = await failure(url.with_scheme("https"))
    assert type(error) is TlsFailed
    assert error.message.startswith("the TLS handshake with 127.0.0.1 failed: ")
    assert "speaks TLS" in error.hint


async def test_a_name_that_does_not_exist_is_named() -> None:
    error, _ = await failure(URL("http://sms.example.invalid/"))
    assert type(error) is ConnectionFailed
    assert error.message.startswith("the name of sms.example.invalid could not be resolved: ")


async def test_a_header_as_long_as_the_longest_token_is_read() -> None:
    async def long_token(_: web.Request) -> web.Response:
        return web.Response(headers={"X-Subject-Token": "t" * 16_384})

    async with serving(long_token) as url:
        assert len((await send(url, CodeRecorder())).headers["X-Subject-Token"]) == 16_384
