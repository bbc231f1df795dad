"""Files of CA certificates."""

import ssl
from pathlib import Path

import pytest
import trustme

from exporter.settings.certificates import check_ca_file, parse_ca_certificates

CA = trustme.CA()
PEM = CA.cert_pem.bytes()
DER = ssl.PEM_cert_to_DER_cert(PEM.decode())


def names_of(content: bytes) -> list[object]:
    """Return the subjects of the certificates of a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=parse_ca_certificates(content))
    return [certificate["subject"] for certificate in context.get_ca_certs()]


@pytest.mark.parametrize(
    "content", [PEM, DER, b"\xef\xbb\xbf" + PEM, "# Größe\n".encode("latin-1") + PEM, CA.private_key_pem.bytes() + PEM]
)
def test_a_certificate_is_read_in_pem_with_any_text_around_it_or_in_der(content: bytes) -> None:
    assert names_of(content) == names_of(PEM) != []


def test_a_file_can_have_several_certificates() -> None:
    assert len(names_of(PEM + b"\n# another\n" + trustme.CA().cert_pem.bytes())) == 2


def test_the_same_certificates_of_many_accounts_are_checked_once() -> None:
    assert parse_ca_certificates(bytes(bytearray(PEM))) is parse_ca_certificates(bytes(bytearray(PEM)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"ca.pem", "contains no certificate in PEM or DER"),
        (CA.private_key_pem.bytes(), "contains a private key, but no certificate in PEM or DER"),
        (PEM.replace(b"M", b"N", 5), "contains a certificate that is damaged"),
        (DER[:-9], "contains a certificate that is damaged"),
    ],
)
def test_a_file_without_a_usable_certificate_is_an_error_that_says_what_it_is(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{problem}$"):
        check_ca_file(file)


def test_a_file_that_can_be_used_is_accepted_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(ValueError, match=r"^cannot be read: No such file or directory$"):
        check_ca_file(file)
    file.write_bytes(PEM)
    assert check_ca_file(file) == file
