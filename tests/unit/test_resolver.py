"""Name look-ups by the C library."""

import socket

import pytest

from exporter.http.resolver import SystemResolver


async def test_a_name_has_its_addresses_as_numbers_with_the_port_of_the_request() -> None:
    found = await SystemResolver().resolve("localhost", 8080, socket.AF_INET)
    assert {(each["hostname"], each["host"], each["port"], each["family"]) for each in found} == {
        ("localhost", "127.0.0.1", 8080, socket.AF_INET)
    }
    assert {each["flags"] for each in found} == {socket.AI_NUMERICHOST | socket.AI_NUMERICSERV}


async def test_without_a_port_addresses_have_none() -> None:
    assert {each["port"] for each in await SystemResolver().resolve("localhost")} == {0}


async def test_a_name_without_an_address_is_an_error() -> None:
    with pytest.raises(OSError, match=r"not known|No address"):
        await SystemResolver().resolve("does-not-exist.invalid", 80)
