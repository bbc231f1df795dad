"""Our signature beside the one of the official SDK's own signer."""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
from huaweicloudsdkcore.sdk_request import SdkRequest  # type: ignore[import-untyped]
from huaweicloudsdkcore.signer.signer import Signer  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from exporter.auth.signing import DATE_FORMAT, AccessKey, canonical_request, sign
from exporter.http.transport import Request
from support import NOW

# Every reserved and unreserved character of URLs, and some that are none of them.
CHARACTERS = "abzAZ09-._~:/?#[]@!$&'()*+,;=% \"<>\\^`{|}äß漢字🚚"
words = st.text(st.sampled_from(CHARACTERS) | st.characters(exclude_categories=["Cs"]), max_size=12)
segments = words.map(lambda word: word.replace("/", ""))
names = st.sampled_from(["X-Project-Id", "X-Domain-Id"])


def theirs(request: Request, key: AccessKey, extra: dict[str, str], path: str, query: list[tuple[str, str]]) -> str:
    header_params = {
        "Host": request.url.raw_authority,
        "X-Sdk-Date": datetime.fromtimestamp(NOW, UTC).strftime(DATE_FORMAT),
        **extra,
    }
    if key.security_token:
        header_params["X-Security-Token"] = key.security_token
    sdk_request = SdkRequest(
        method=request.method,
        schema="https",
        host=request.url.raw_authority,
        resource_path=path,
        uri=path,
        query_params=query,
        header_params=header_params,
        body=request.body.decode(),
    )
    signed = Signer(BasicCredentials(key.id, key.secret)).sign(sdk_request)
    authorization: str = signed.header_params["Authorization"]
    return authorization


@given(
    path=st.lists(segments, max_size=3),
    query=st.lists(st.tuples(words, words), max_size=4),
    token=st.none() | st.text(st.sampled_from("abcXYZ019+/="), min_size=1, max_size=40),
    extra=st.dictionaries(names, st.text(st.sampled_from("abcdef0123456789"), min_size=1, max_size=32)),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    body=st.sampled_from([b"", b"{}", '{"name":"漢字"}'.encode()]),
)
@settings(max_examples=400)
def test_our_signature_is_the_sdks(
    path: list[str],
    query: list[tuple[str, str]],
    token: str | None,
    extra: dict[str, str],
    method: str,
    body: bytes,
) -> None:
    key = AccessKey("AK0123456789", "sk-of-any/kind+=", token)
    resource = "/v3/" + "/".join(quote(segment, safe="~") for segment in path)
    text = urlencode(query, safe="~", quote_via=quote)
    url = URL(f"https://sms.example.com:8443{resource}{'?' if text else ''}{text}", encoded=True)
    request = Request(method, url, body=body)
    assert sign(request, key, NOW, extra)["Authorization"] == theirs(request, key, extra, resource, query)


def test_the_canonical_request_is_as_documented() -> None:
    request = Request("get", URL("https://sms.example.com/v3/sources?offset=0&limit=200", encoded=True))
    headers = {"X-Sdk-Date": "20270115T080000Z", "Host": "sms.example.com"}
    assert canonical_request(request, headers).split("\n") == [
        "GET",
        "/v3/sources/",
        "limit=200&offset=0",
        "host:sms.example.com",
        "x-sdk-date:20270115T080000Z",
        "",
        "host;x-sdk-date",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]


@pytest.mark.parametrize("token", [None, "security-token"])
def test_a_key_shows_no_secret(token: str | None) -> None:
    key = AccessKey("AK", "very-secret", token)
    assert "very-secret" not in repr(key)
    assert "security-token" not in repr(key)
    headers = sign(Request("GET", URL("https://x/")), key, NOW)
    assert "very-secret" not in repr(headers)
    assert headers.get("X-Security-Token") == token
