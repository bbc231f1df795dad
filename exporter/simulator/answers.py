"""The shapes of errors that the simulated APIs answer with."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

BAD_AUTHENTICATION: Final = "APIGW.0301"
TOKEN_EXPIRED: Final = "APIGW.0307"  # noqa: S105 - an error code
THROTTLED: Final = "APIGW.0308"
NOT_FOUND: Final = "APIGW.0101"
BACKEND_FAILED: Final = "APIGW.0201"
# The reference names no code for a bad parameter; nobody should look at this one.
BAD_PARAMETER: Final = "SMS.9002"

_NO_PERMISSION: Final = "You do not have permission to perform action XXX on resource XXX."


class Refusal(Exception):
    """A request that is not served: the status and the JSON body of its answer."""

    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def gateway_error(status: int, code: str, message: str) -> Refusal:
    """Give a refusal in the shape of the gateway and of SMS: `error_code` and `error_msg`."""
    return Refusal(status, {"error_code": code, "error_msg": message})


def iam_error(status: int, message: str) -> Refusal:
    """Give a refusal in the shape of IAM: `error` with `code`, `message` and `title`."""
    return Refusal(
        status,
        {"error": {"code": status, "message": message, "title": HTTPStatus(status).phrase}},
    )


def permission_denied() -> Refusal:
    """Give the reference's own 403, word for word."""
    return Refusal(
        HTTPStatus.FORBIDDEN,
        {
            "error_code": "SMS.9004",
            "error_msg": (f"The current account does not have the permission to execute policy. {_NO_PERMISSION}"),
            "encoded_authorization_message": "XXXXXX",
            "error_param": [_NO_PERMISSION],
            "details": [{"error_code": "SMS.9004", "error_msg": _NO_PERMISSION}],
        },
    )


def bad_authentication(reason: str) -> Refusal:
    """Give the gateway's 401 for a signature or key that it does not take."""
    return gateway_error(
        HTTPStatus.UNAUTHORIZED,
        BAD_AUTHENTICATION,
        f"Incorrect IAM authentication information: {reason}",
    )
