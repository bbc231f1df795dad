"""The error responses of the simulated APIs."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

BAD_AUTHENTICATION: Final = "APIGW.0301"
TOKEN_EXPIRED: Final = "APIGW.0307"  # noqa: S105 - an error code
THROTTLED: Final = "APIGW.0308"
NOT_FOUND: Final = "APIGW.0101"
BACKEND_FAILED: Final = "APIGW.0201"
# The reference has no code for a bad parameter. No client should depend on this one.
BAD_PARAMETER: Final = "SMS.9002"


class ErrorResponse(Exception):
    """A request failed: the status and the JSON body of the response."""

    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def gateway_error(status: int, code: str, message: str) -> ErrorResponse:
    """Return an error in the format of the gateway and of SMS: `error_code` and `error_msg`."""
    return ErrorResponse(status, {"error_code": code, "error_msg": message})


def iam_error(status: int, message: str) -> ErrorResponse:
    """Return an error in the format of IAM: `error` with `code`, `message` and `title`."""
    return ErrorResponse(
        status,
        {"error": {"code": status, "message": message, "title": HTTPStatus(status).phrase}},
    )


def permission_denied(action: str = "XXX") -> ErrorResponse:
    """Return the 403 of the API reference, word for word except for the IAM action, if it is given."""
    missing = f"You do not have permission to perform action {action} on resource XXX."
    return ErrorResponse(
        HTTPStatus.FORBIDDEN,
        {
            "error_code": "SMS.9004",
            "error_msg": f"The current account does not have the permission to execute policy. {missing}",
            "encoded_authorization_message": "XXXXXX",
            "error_param": [missing],
            "details": [{"error_code": "SMS.9004", "error_msg": missing}],
        },
    )


def bad_authentication(reason: str) -> ErrorResponse:
    """Return the gateway's 401 for a signature or key that it does not accept."""
    return gateway_error(
        HTTPStatus.UNAUTHORIZED,
        BAD_AUTHENTICATION,
        f"Incorrect IAM authentication information: {reason}",
    )
