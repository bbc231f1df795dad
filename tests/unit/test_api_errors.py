import json
import time
from collections.abc import Iterator

import pytest

from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError, ServerFault, Throttled
from exporter.http.api_errors import MAX_ERROR_BODY_BYTES, api_error, is_error_body
from exporter.http.transport import Response
from support import DATA, NOW

FORBIDDEN = (DATA / "error-403.json").read_bytes()


def refused(status: int, body: object = b"", **headers: str) -> PollError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api_error(
        Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content), now=NOW
    )


def test_the_403_of_the_reference_is_a_missing_permission_with_its_action() -> None:
    error = refused(403, FORBIDDEN, X_Request_Id="r1")
    assert isinstance(error, PermissionDenied)
    assert (error.code, error.status, error.request_id) == ("SMS.9004", 403, "r1")
    assert "sms:server:list" in error.hint
    assert "XXXXXX" not in error.message


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (401, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM"}, AuthError, "APIGW.0301"),
        (401, {"errorCode": "APIG.0307", "errorMsg": "The token must be updated."}, AuthError, "APIG.0307"),
        (401, {"error": {"code": 401, "message": "The username or password is wrong."}}, AuthError, "401"),
        (403, {"code": "APIGW.0302", "message": "not allowed"}, PermissionDenied, "APIGW.0302"),
        (403, b"", PermissionDenied, None),
        (429, {"error_code": "APIGW.0308", "error_msg": "throttling threshold"}, Throttled, "APIGW.0308"),
        (429, b"", Throttled, None),
        (500, {"error_code": "SMS.0001", "error_msg": "oops"}, ServerFault, "SMS.0001"),
        (502, b"<html>Bad Gateway</html>", ServerFault, None),
        (504, {"error_code": "APIGW.0201", "error_msg": "Backend timeout."}, ServerFault, "APIGW.0201"),
        (404, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"}, BadResponse, "APIGW.0101"),
        (400, {"error_code": "SMS.0205", "error_msg": "limit"}, BadResponse, "SMS.0205"),
        (418, b"\xff{", BadResponse, None),
        (401, b"[" * 100_000, AuthError, None),
        (599, [], ServerFault, None),
    ],
)  # fmt: skip
def test_each_shape_of_an_error_is_named(status: int, body: object, kind: type[PollError], code: str | None) -> None:
    error = refused(status, body)
    assert (type(error), error.code, error.status) == (kind, code, status)
    assert str(status) in error.message


def test_a_refused_signature_that_is_expired_points_at_the_clock() -> None:
    body = {
        "error_code": "APIGW.0301",
        "error_msg": "Incorrect IAM authentication information: signature expired",
    }
    assert "clock" in refused(401, body).hint


def test_a_locked_key_says_how_long() -> None:
    body = {
        "error_code": "APIGW.0301",
        "error_msg": "AK access failed to reach the limit,forbidden.",
    }
    assert "5 minutes" in refused(401, body).hint


@pytest.mark.parametrize(
    ("status", "text", "hint"),
    [
        (401, "signature has expired", "clock"),
        (401, "the token has expired", None),
        (401, "the signature does not match", None),
        (401, "the user is locked", "5 minutes"),
        (401, "failed to reach the limit", "5 minutes"),
        (401, "the limit is far", None),
        (403, "signature has expired and the user is locked", None),
    ],
)
def test_only_a_refusal_for_the_clock_or_a_lock_has_a_hint_of_its_own(status: int, text: str, hint: str | None) -> None:
    hints = [str(refused(status, {"error_msg": each}).hint) for each in (text, "refused")]
    assert (hint in hints[0] and hint not in hints[1]) if hint else (hints[0] == hints[1])


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (499, b"", BadResponse, "the API answered 499"),
        (500, b"", ServerFault, "the API answered 500 Internal Server Error"),
        (408, b"", ServerFault, "the API answered 408 Request Timeout"),
        (404, {"message": "gone"}, BadResponse, "the API answered 404 Not Found: gone"),
        (404, {"code": 7}, BadResponse, "the API answered 404 Not Found (7)"),
        (404, {"code": None, "error_msg": [], "message": "x"}, BadResponse, "the API answered 404 Not Found: x"),
        (404, {"error": "text", "code": "C"}, BadResponse, "the API answered 404 Not Found (C)"),
        (404, {"error": ["C"]}, BadResponse, "the API answered 404 Not Found"),
    ],
)  # fmt: skip
def test_the_message_has_the_status_and_what_the_body_says(
    status: int, body: object, kind: type[PollError], message: str
) -> None:
    error = refused(status, body)
    assert (type(error), error.message) == (kind, message)


@pytest.mark.parametrize(("distance", "code"), [(0, "C"), (1, None)])
def test_an_error_is_searched_in_a_body_up_to_the_maximum_size(distance: int, code: str | None) -> None:
    body = b'{"code": "C"}'
    response = Response(404, {}, body + b" " * (MAX_ERROR_BODY_BYTES - len(body) + distance))
    assert api_error(response, now=NOW).code == code
    assert is_error_body(response) == (code is not None)


def test_a_fault_of_iam_blames_no_option() -> None:
    assert "auth." not in str(api_error(Response(500, {}, b"", api="iam"), now=NOW).hint)


def test_a_400_without_a_code_may_be_of_another_service() -> None:
    assert "api.endpoint" in str(refused(400, b"<html>").hint)


def test_a_long_text_of_the_api_is_cut_and_stays_on_one_line() -> None:
    message = refused(500, {"error_msg": "line\n" * 1000}).message
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("\x1d120", None),
        ("\u0663", None),
        ("9" * 400, 1e9),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert refused(429, Retry_After=header).retry_after == seconds


@pytest.fixture
def _far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as context:
        context.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_from_utc")
@pytest.mark.parametrize(
    "date", ["Fri Jan 15 08:00:07 2027", "Fri, 15 Jan 2027 08:00:07 -0000", "Fri, 15 Jan 2027 08:00:07"]
)
def test_a_date_without_a_zone_is_utc_wherever_the_exporter_runs(date: str) -> None:
    assert refused(429, Retry_After=date).retry_after == 7.0


def test_a_400_reports_what_the_api_said_and_does_not_blame_the_endpoint() -> None:
    error = refused(400, {"error_code": "SMS.0205", "error_msg": "state is invalid"})
    assert error.message == "the API answered 400 Bad Request (SMS.0205): state is invalid"
    assert "filter" in error.hint
    assert "endpoint" not in error.hint


def test_an_unknown_response_blames_the_endpoint_of_its_own_service() -> None:
    assert "api.endpoint" in refused(404, b"<html>").hint
    error = api_error(Response(404, {}, b"<html>", api="metadata"), now=NOW)
    assert "auth.metadata-endpoint" in error.hint
    assert error.message == "the metadata service answered 404 Not Found"


@pytest.mark.parametrize("status", [400, 403, 404])
def test_an_error_of_iam_names_iam_and_not_the_api(status: int) -> None:
    error = api_error(Response(status, {}, b'{"error": {"code": 400, "message": "no"}}', api="iam"), now=NOW)
    assert error.message.startswith("IAM answered ")
    assert "auth.user-name" in error.hint
    assert "api.endpoint" not in error.hint
    assert "sms:server:list" not in error.hint


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error_code": "SMS.0001", "error_msg": "oops"}, BadResponse),
        ({"error_code": "APIGW.0308", "error_msg": "oops"}, Throttled),
        ({"error": {"code": "APIGW.0301", "message": "oops"}}, AuthError),
        ({"error": {"code": 401, "message": "oops"}}, AuthError),
        ({"error_code": "403", "error_msg": "oops"}, PermissionDenied),
        ({"code": 429, "message": "oops"}, Throttled),
        ({"code": 503, "message": "oops"}, ServerFault),
        ({"code": 4011, "message": "oops"}, BadResponse),
        ({"code": 600, "message": "oops"}, BadResponse),
    ],
)
def test_an_error_body_with_status_200_keeps_its_code_and_text(body: dict[str, object], kind: type[PollError]) -> None:
    response = Response(200, {}, json.dumps(body).encode())
    assert is_error_body(response)
    error = api_error(response, now=NOW)
    assert type(error) is kind
    assert str(error.code) in error.message
    assert "oops" in error.message
    assert "api.endpoint" not in error.hint


def test_a_code_that_looks_like_a_status_replaces_no_other_status() -> None:
    assert type(refused(404, {"code": 401})) is BadResponse


def test_a_list_is_not_an_error_body() -> None:
    assert not is_error_body(Response(200, {}, (DATA / "list-servers-200.json").read_bytes()))
    assert not is_error_body(Response(200, {}, b'{"count": 0, "source_servers": []}'))


def test_a_secret_that_a_gateway_repeats_is_in_no_part_of_the_error() -> None:
    token = "MIIEsecret-token-of-the-account"
    body = {"error_code": f"E {token}", "error_msg": f"cannot parse X-Auth-Token: {token}"}
    response = Response(502, {"X-Request-Id": f"r-{token}"}, json.dumps(body).encode(), secrets=(token,))
    error = api_error(response, now=NOW)
    assert "secret-token" not in f"{error.message} {error.hint} {error.facts()}"


def test_a_request_id_is_one_printable_line() -> None:
    assert refused(500, X_Request_Id="\udcffr1\x1b[2J\n" + "x" * 1000).request_id == "r1 [2J " + "x" * 292 + "…"
