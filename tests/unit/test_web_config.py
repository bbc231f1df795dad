"""The web configuration file: every key, and the errors."""

import datetime as dt
import re
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from exporter.clock import SystemClock
from exporter.errors import ConfigurationError
from exporter.settings.kinds import get_model
from exporter.web.toolkit.model import ALWAYS_ON, CIPHER_SUITES, CURVES, HEADERS, WebConfig
from exporter.web.toolkit.policy import read_policy, summary
from exporter.web.toolkit.reading import parse
from exporter.web.toolkit.tls import alternative_names, read_certificates
from support import DATA

HASH = "$2y$04$7fkxN9bqzzRuYFB3Z5jCGeKmGSpbWrFCrVrTDVMcJVdPYBiyMBKlC"
FILE = Path("web.yml")
ROOT = Path(__file__).parents[2]
AUTHORITY = trustme.CA()
SERVER = AUTHORITY.issue_cert("127.0.0.1")
CERT = SERVER.cert_chain_pems[0].bytes().decode()
KEY = SERVER.private_key_pem.bytes().decode()


def read(text: str) -> WebConfig:
    return parse(text.encode(), FILE)[0]


def tls(**keys: object) -> WebConfig:
    return read(yaml.safe_dump({"tls_server_config": {"cert": CERT, "key": KEY} | keys}))


def context(**keys: object) -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_text(yaml.safe_dump({"tls_server_config": {"cert": CERT, "key": KEY} | keys}))
        built = read_policy(path, SystemClock()).tls
    assert built is not None
    return built


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return [line.removeprefix("--web.config.file: web.yml") for line in caught.value.lines]


def tls_fault(**keys: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        context(**keys)
    (line,) = caught.value.lines
    assert re.match(r"--web\.config\.file: /.*/web\.yml line \d+: tls_server_config", line)
    return line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n",
        "tls_server_config: {}",
    ],
)
def test_an_empty_file_is_plain_http_without_users(text: str) -> None:
    config = read(text)
    assert config == WebConfig()
    assert summary(config) == "no TLS; no users"


def test_the_defaults_are_those_of_exporter_toolkit() -> None:
    config = tls()
    assert config.tls_server_config is not None
    assert config.tls_server_config.model_dump(exclude={"cert", "key"}) == {
        "client_ca": None,
        "cert_file": None,
        "key_file": None,
        "client_auth_type": "NoClientCert",
        "client_ca_file": None,
        "client_allowed_sans": None,
        "min_version": "TLS12",
        "max_version": "TLS13",
        "cipher_suites": (),
        "prefer_server_cipher_suites": True,
        "curve_preferences": (),
    }
    assert config.http_server_config.http2
    assert not config.http_server_config.headers
    assert summary(config) == "TLS12 to TLS13; client certificates not requested; no users"


def test_every_key_of_the_format_is_accepted() -> None:
    config = read(f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: clients.crt
  client_allowed_sans: [prometheus.example.org, 10.0.0.1]
  min_version: TLS13
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: "default-src 'self'"
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: sameorigin
    X-XSS-Protection: 0
basic_auth_users:
  prometheus: {HASH}
rate_limit:
  interval: 100ms
  burst: 20
""")
    assert config.rate_limit.interval == pytest.approx(0.1)
    assert config.basic_auth_users["prometheus"].get_secret_value() == HASH
    assert set(config.http_server_config.headers) == set(HEADERS)
    assert config.http_server_config.headers["X-XSS-Protection"] == "0"
    assert summary(config) == ("TLS13 to TLS13; client certificates required; 1 user; one request every 0.1s, burst 20")


@pytest.mark.parametrize("name", ["ann:SECRET", "SECRET", f"ann:{HASH}"])
def test_the_name_of_a_user_is_never_shown_because_it_can_contain_a_password(name: str) -> None:
    for line in faults(yaml.safe_dump({"basic_auth_users": {name: None}})):
        assert line.startswith(
            (" line 2: basic_auth_users: the name of a user", " line 2: basic_auth_users: write text")
        )
        assert "SECRET" not in line
        assert HASH not in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- a", ": must be a mapping (key: value), not a list"),
        ("a: [", " line 1 column 5: expected the node content, but the file ends"),
        ("rate_limit: {burst: 1, burst: 2}", " line 1 column 24: a duplicate key: keep one"),
        ("basic_auth_user: {}", " line 1: basic_auth_user: no such key; did you mean basic_auth_users?"),
        (
            "http_server_config: {http3: true}",
            " line 1: http_server_config.http3: no such key; did you mean http_server_config.http2?",
        ),
        ("rate_limit: {per: 1}", " line 1: rate_limit.per: no such key; the keys here are interval, burst"),
        (
            "http_server_config:\n  http2: maybe",
            " line 2: http_server_config.http2: given 'maybe': write true or false, without quotes",
        ),
        ("http_server_config: {http2: 'true'}", "http_server_config.http2: given 'true': write true or false, without"),
        ("rate_limit: {interval: 1}", "rate_limit.interval: given '1': write a duration with its unit"),
        ("rate_limit: {interval: -1s}", "rate_limit.interval: given '-1s': write a duration"),
        ("rate_limit: {interval: 1s, burst: -1}", "rate_limit.burst: given '-1': write a whole number of 0 or more"),
        ("rate_limit: {interval: 1s, burst: '1'}", "rate_limit.burst: given '1': write a whole number of 0 or more"),
        ("rate_limit: {interval: 1s}", " line 1: rate_limit: burst must be 1 or more"),
        ("rate_limit: 5", " line 1: rate_limit: write a group of options: interval, burst"),
        (
            "http_server_config: {headers: {Server: x}}",
            "http_server_config.headers: Server cannot be set; the headers that can be set are ",
        ),
        (
            "http_server_config: {headers: [x]}",
            ".headers: given a list: write a mapping (key: value)",
        ),
        ("http_server_config: {headers: {X-Frame-Options: [x]}}", ".headers.X-Frame-Options: given a list: write text"),
        (
            "http_server_config: {headers: {X-Frame-Options: maybe}}",
            "X-Frame-Options is 'maybe' and must be deny or sameorigin",
        ),
        (
            'http_server_config: {headers: {X-XSS-Protection: "0\\r\\nSet-Cookie: a"}}',
            "X-XSS-Protection must be one line of printable ASCII",
        ),
        (
            "basic_auth_users: {ann: secret}",
            " line 1: basic_auth_users: the password of this user is not",
        ),
        # The salt ends in bits that no salt has.
        (f"basic_auth_users: {{ann: {HASH[:28]}A{HASH[29:]}}}", "the password of this user is not a"),
        (
            f"basic_auth_users: {{ann: {HASH.replace('$04$', '$32$')}}}",
            "the password of this user is not a",
        ),
        ("basic_auth_users: {ann: [secret]}", "basic_auth_users: write text"),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "basic_auth_users: the name of a user cannot contain a colon"),
        (
            "tls_server_config: {cert_file: x, key: secret, client_auth: x}",
            " line 1: tls_server_config: no such key",
        ),
        ("tls_server_config: {cert_file: x}", "tls_server_config: key_file or key is required"),
        ("tls_server_config: {key: secret}", "tls_server_config: cert_file or cert is required"),
        ("tls_server_config: {min_version: TLS12}", "tls_server_config: cert_file or cert is required"),
        ("tls_server_config: {cert: x, cert_file: x, key: secret}", "tls_server_config: cert and cert_file are both"),
        ("tls_server_config: {key: [secret]}", "tls_server_config.key: write text"),
        (
            "tls_server_config: {min_version: TLS3}",
            "min_version: given 'TLS3': write one of TLS10, TLS11, TLS12, TLS13; did you mean TLS13?",
        ),
        (
            "tls_server_config: {client_auth_type: Any}",
            "tls_server_config.client_auth_type: given 'Any': Any is not one of",
        ),
        (
            "tls_server_config: {curve_preferences: [P9]}",
            "tls_server_config.curve_preferences: P9 is not one of CurveP256",
        ),
        (
            "tls_server_config: {cipher_suites: [RC4]}",
            ".cipher_suites: RC4 is not one of TLS",
        ),
        (
            "tls_server_config: {client_allowed_sans: []}",
            ".client_allowed_sans: given a list: write a list of 1",
        ),
    ],
)
def test_an_error_names_the_key_and_what_is_allowed(text: str, line: str) -> None:
    (fault,) = faults(text)
    assert line in fault
    assert "secret" not in fault
    assert HASH[29:] not in fault


FILES: list[dict[str, Any]] = yaml.safe_load((DATA / "web-configurations.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=[file["name"] for file in FILES])
def test_a_file_is_valid_if_exporter_toolkit_accepts_it_or_the_difference_is_documented(
    file: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "server.crt").write_text(CERT)
    (tmp_path / "server.key").write_text(KEY)
    (tmp_path / "clients.crt").write_bytes(AUTHORITY.cert_pem.bytes())
    (tmp_path / FILE).write_text(file["text"])
    expected = file["go"]
    if (differs := file.get("differs")) and sys.version_info[:2] < tuple(differs.get("before", (4, 0))):
        expected = differs["to"]
        assert expected != file["go"]
        assert differs["documented"] in " ".join((ROOT / "docs" / "web.md").read_text(encoding="utf-8").split())
    try:
        read_policy(tmp_path / FILE, SystemClock())
    except ConfigurationError:
        assert expected == "invalid"
    else:
        assert expected == "valid"


@pytest.mark.parametrize("value", ["0", "010", "1e3", "yes", "2024-01-02", "0x10", "~x", "1_000"])
def test_a_header_value_without_quotes_keeps_its_text(value: str) -> None:
    config = read(f"http_server_config: {{headers: {{X-XSS-Protection: {value}}}}}")
    assert config.http_server_config.headers == {"X-XSS-Protection": value}


def test_6_kilobytes_of_brackets_are_refused_early() -> None:
    assert faults("[" * 6000) == [": is nested too deeply"]


CA = AUTHORITY.cert_pem.bytes()


@pytest.mark.parametrize(
    "content",
    [
        CA,
        "# Größe der Welt\n".encode() + CA,
        b"\xef\xbb\xbf" + CA,
        b"Bag Attributes: \xff\xfe\n" + CA + b"trailer\n",
        ssl.PEM_cert_to_DER_cert(CA.decode()),
        CA + trustme.CA().cert_pem.bytes(),
    ],
    ids=["plain", "comment", "BOM", "binary comment", "DER", "two"],
)
def test_a_file_of_client_authorities_is_read_in_every_form(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    names = {"client_ca_file": str(tmp_path / "ca.pem"), "client_auth_type": "RequireAndVerifyClientCert"}
    assert context(**names).cert_store_stats()["x509_ca"] == max(1, content.count(b"BEGIN CERTIFICATE"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"no certificate", "contains no certificate in PEM or DER"),
        (KEY.encode(), "contains a private key, but no certificate in PEM or DER"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "contains a certificate that is damaged"),
        (b"\x30\x82garbage", "contains a certificate that is damaged"),
    ],
)
def test_a_file_without_client_authorities_is_an_error(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    names = {"client_ca_file": str(tmp_path / "ca.pem"), "client_auth_type": "RequireAndVerifyClientCert"}
    assert tls_fault(**names).endswith(f"tls_server_config.client_ca_file: {message}")


def test_a_key_that_is_too_short_is_named_as_the_cause() -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    if ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).security_level < 2:
        pytest.skip("OpenSSL on this machine accepts short keys")
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "short")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + dt.timedelta(days=9999))
    cert = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert "cert: the key is too short" in tls_fault(cert=cert.decode(), key=pem.decode())


@pytest.mark.parametrize("kind", ["RequestClientCert", "RequireAnyClientCert", "RequireClientCert"])
def test_a_client_auth_type_without_verification_is_an_error_that_names_the_alternatives(kind: str) -> None:
    fault = tls_fault(client_auth_type=kind)
    assert (
        f"client_auth_type: given '{kind}': Python's ssl cannot accept a client certificate without verifying it"
        in fault
    )
    assert "RequireAndVerifyClientCert" in fault


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"client_ca": CERT}, "client_ca_file requires client_auth_type"),
        ({"client_allowed_sans": ["a"]}, "client_allowed_sans requires client_auth_type"),
        ({"min_version": "TLS13", "max_version": "TLS12"}, "max_version TLS12 is below min_version TLS13"),
        ({"min_version": "TLS10"}, "min_version: TLS10 requires security level 0 of OpenSSL"),
        ({"min_version": "TLS11", "max_version": "TLS11"}, "min_version: TLS11 requires security level 0 of OpenSSL"),
        ({"cipher_suites": sorted(ALWAYS_ON)}, "write min_version: TLS13 instead"),
        ({"cert": "x"}, "tls_server_config.cert: contains no certificate in PEM"),
        ({"key": CERT}, "tls_server_config.key: contains no private key in PEM"),
        (
            {"cert": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"},
            "cert: OpenSSL cannot use it",
        ),
        (
            {"key": AUTHORITY.issue_cert("x").private_key_pem.bytes().decode()},
            "the key does not belong to the certificate",
        ),
        (
            {"client_ca": "x", "client_auth_type": "VerifyClientCertIfGiven"},
            "client_ca: contains no certificate in PEM",
        ),
        (
            {"cert": "", "cert_file": "/nowhere/a"},
            "cert_file: given '/nowhere/a': cannot be read: No such file",
        ),
        ({"key": "", "key_file": "/"}, "key_file: given '/': cannot be read: it is a directory, not a regular file"),
    ],
)
def test_contradicting_keys_and_unusable_files_are_errors(keys: dict[str, object], fault: str) -> None:
    assert fault in tls_fault(**keys)


@pytest.mark.skipif(hasattr(ssl.SSLContext, "set_groups"), reason="this version of ssl accepts several curves")
def test_several_curves_are_an_error_if_ssl_accepts_one() -> None:
    assert "curve_preferences: ssl of this Python version accepts only one curve" in tls_fault(
        curve_preferences=["X25519", "CurveP256"]
    )


def test_an_encrypted_key_is_an_error_without_a_prompt() -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(KEY.encode(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    assert "tls_server_config.key: the key is encrypted" in tls_fault(key=encrypted.decode())


@pytest.mark.parametrize("suite", CIPHER_SUITES)
def test_openssl_knows_every_cipher_suite(suite: str) -> None:
    names = {cipher["name"] for cipher in context(cipher_suites=[suite]).get_ciphers()}
    assert names - ALWAYS_ON == {CIPHER_SUITES[suite]}


@pytest.mark.parametrize("curve", CURVES)
def test_openssl_knows_every_curve(curve: str) -> None:
    assert context(curve_preferences=[curve]).minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_preference_of_the_server_can_be_turned_off() -> None:
    assert context().options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert not context(prefer_server_cipher_suites=False).options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_the_versions_limit_the_protocol() -> None:
    bounded = context(min_version="TLS12", max_version="TLS12")
    assert (bounded.minimum_version, bounded.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0", 0), ("'0'", 0), ("1s", 1), ("1.5s", 1.5), ("250ms", 0.25), ("1m30s", 90), ("2h", 7200), ("500us", 0.0005)],
)
def test_an_interval_is_in_the_notation_of_go(written: str, seconds: float) -> None:
    assert read(f"rate_limit: {{interval: {written}, burst: 1}}").rate_limit.interval == pytest.approx(seconds)


def test_all_kinds_of_alternative_names_are_normalized() -> None:
    certificate = {
        "subjectAltName": (
            ("DNS", "prometheus.example.org"),
            ("IP Address", "2001:DB8:0:0:0:0:0:1"),
            ("email", "ops@example.org"),
            ("URI", "spiffe://example.org/prometheus"),
            ("DirName", ((("commonName", "x"),),)),
        ),
    }
    assert list(alternative_names(certificate)) == [
        "prometheus.example.org",
        "2001:db8::1",
        "ops@example.org",
        "spiffe://example.org/prometheus",
    ]


def test_the_representation_of_a_configuration_contains_no_secret() -> None:
    config = tls()
    assert config.tls_server_config is not None
    certificates = read_certificates(config.tls_server_config, Path())
    for text in (repr(config), repr(certificates), config.model_dump_json()):
        assert "PRIVATE" not in text


def test_the_documentation_describes_every_key_and_its_example_is_valid() -> None:
    page = (ROOT / "docs" / "web.md").read_text(encoding="utf-8")
    sections = filter(None, map(get_model, WebConfig.model_fields.values()))
    keys = [*WebConfig.model_fields, *(key for section in sections for key in section.model_fields)]
    assert [key for key in keys if f"`{key}`" not in page] == []
    assert all(f"`{header}`" in page for header in HEADERS)
    example = ROOT / "deploy" / "web.yml"
    assert parse(example.read_bytes(), example)[0].tls_server_config is not None


@pytest.mark.parametrize(
    "text", ["a: 2024-13-45", "a: 0b_", "rate_limit: {interval: [1s]}", "rate_limit: {interval: {}}"]
)
def test_values_that_yaml_or_go_cannot_read_are_errors(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse(text.encode(), FILE)
