import json

import pytest

from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError, ServerFault, Throttled
from exporter.http.api_errors import api_error
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
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert refused(429, Retry_After=header).retry_after == seconds
