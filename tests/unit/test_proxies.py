"""Which proxy a request is sent through."""

import pytest
from yarl import URL

from exporter.errors import ConfigurationError
from exporter.http.proxies import Proxies, is_exempt

API = URL("https://sms.example.org/v3/sources")


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("*", "https://sms.example.org/"),
        ("example.org", "https://sms.example.org/"),
        (".example.org", "https://sms.example.org/"),
        ("*.example.org", "https://sms.example.org/"),
        ("SMS.Example.ORG", "https://sms.example.org./"),
        ("sms.example.org:443", "https://sms.example.org/"),
        ("sms.example.org:8443", "https://sms.example.org:8443/"),
        ("10.1.2.3", "https://10.1.2.3/"),
        ("10.1.2.3:8443", "https://10.1.2.3:8443/"),
        ("10.0.0.0/8", "https://10.1.2.3/"),
        ("10.1.2.3/8", "https://10.9.9.9/"),
        ("::1", "https://[::1]/"),
        ("[::1]", "https://[::1]/"),
        ("[::1]:8443", "https://[::1]:8443/"),
        ("0:0:0:0:0:0:0:1", "https://[::1]/"),
        ("fd00::/8", "https://[fd00::7]/"),
    ],
)
def test_an_entry_of_no_proxy_exempts_a_url(entry: str, url: str) -> None:
    assert is_exempt(URL(url), entry)
    proxies = Proxies(None, {"https_proxy": "http://proxy:3128", "NO_PROXY": f"other.test, {entry}"})
    assert proxies.find(URL(url)) is None


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("ample.org", "https://sms.example.org/"),
        ("sms.example.org.evil.test", "https://sms.example.org/"),
        ("sms.example.org:8443", "https://sms.example.org/"),
        ("10.1.2.3", "https://10.1.2.30/"),
        (".2.3", "https://10.1.2.3/"),
        ("10.0.0.0/8", "https://11.1.2.3/"),
        ("10.0.0.0/8", "https://sms.example.org/"),
        ("10.0.0.0/99", "https://10.1.2.3/"),
        ("[::1]:8443", "https://[::1]/"),
        (".", "https://sms.example.org/"),
        ("[", "https://sms.example.org/"),
        ("example.org/path", "https://sms.example.org/"),
    ],
)
def test_an_entry_of_no_proxy_does_not_exempt_another_url(entry: str, url: str) -> None:
    assert not is_exempt(URL(url), entry)


def test_the_option_replaces_the_environment_and_its_exemptions() -> None:
    proxy = Proxies("http://option:3128", {"https_proxy": "http://other:3128", "no_proxy": "*"}).find(API)
    assert proxy is not None
    assert proxy.url == URL("http://option:3128")


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://us:p%40ss@proxy:3128", {"p@ss", "us:p@ss", "dXM6cEBzcw=="}),
        ("http://t0ken@proxy:3128", {"t0ken", "t0ken:", "dDBrZW46"}),
        ("http://proxy:3128", set()),
    ],
)
def test_the_secrets_of_a_proxy_are_its_password_and_every_form_that_is_sent(url: str, secrets: set[str]) -> None:
    proxy = Proxies(url, {}).find(API)
    assert proxy is not None
    assert set(proxy.secrets) == secrets
    assert not any(secret in repr(proxy) for secret in secrets)


def test_a_scheme_without_a_variable_has_no_proxy() -> None:
    assert Proxies(None, {"HTTP_PROXY": "http://proxy:3128", "https_proxy": ""}).find(API) is None


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("HTTPS_PROXY", "socks5://user:s3cret@proxy:1080", "SOCKS proxies are not supported"),
        ("https_proxy", "ftp://user:s3cret@proxy", "write the URL of an HTTP proxy"),
        ("HTTP_PROXY", "http://", "write the URL of an HTTP proxy"),
        ("http_proxy", "proxy:s3cret", "port"),
        ("http_proxy", "http://[::1", "write the URL of an HTTP proxy"),
        ("HTTPS_PROXY", "http://user:s3cret#x@proxy:3128", "write special characters of the user and password as %XX"),
        ("HTTPS_PROXY", "user:s3cret/x@proxy:3128", "write special characters of the user and password as %XX"),
        ("HTTPS_PROXY", "http://user:s3cret\uff1ax@proxy:3128", "write special characters of the user and password"),
    ],
)
def test_an_unusable_proxy_of_the_environment_is_one_line_without_its_password(
    variable: str, value: str, part: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Proxies(None, {variable: value})
    (line,) = caught.value.lines
    assert line.startswith(f"{variable}:")
    assert part in line
    assert "s3cret" not in line
