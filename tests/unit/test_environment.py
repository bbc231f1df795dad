import pytest

from exporter.auth.environment import iam_endpoint
from exporter.errors import AuthError

IAM = "https://iam.example.com"


@pytest.mark.parametrize("variable", ["HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL", "OS_AUTH_URL"])
@pytest.mark.parametrize("suffix", ["", "/", "/v3", "/v3/"])
def test_the_address_of_iam_is_read_without_its_version(variable: str, suffix: str) -> None:
    assert iam_endpoint({variable: IAM + suffix}) == IAM


def test_the_sdks_variable_comes_before_those_of_terraform_and_openstack() -> None:
    environ = {"OS_AUTH_URL": "https://os", "HW_AUTH_URL": "https://hw", "HUAWEICLOUD_SDK_IAM_ENDPOINT": IAM}
    assert iam_endpoint(environ) == IAM
    assert iam_endpoint(environ | {"HUAWEICLOUD_SDK_IAM_ENDPOINT": ""}) == "https://hw"
    assert iam_endpoint({}) is None


@pytest.mark.parametrize(
    "value",
    [
        "iam.example.com",
        "ftp://iam.example.com",
        "https://",
        "https://[::1",
        "https:///v3",
        "https://iam..example.com",
        "https://xn--",
    ],
)
def test_an_address_of_iam_that_is_no_url_is_an_error_that_names_the_variable(value: str) -> None:
    with pytest.raises(AuthError, match=r"^HW_AUTH_URL is not the URL of IAM$") as failure:
        iam_endpoint({"HW_AUTH_URL": value})
    assert "https://HOST" in str(failure.value.hint)
