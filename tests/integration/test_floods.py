"""Responses that try to exhaust the memory, read by a real process with a real limit."""

import gzip
from collections.abc import Callable

import pytest
from aiohttp import web

from programs import exporter_command, program, run, serving

MEMORY_KIB = 300 * 1024
"""The limit of the address space: a little more than the exporter needs for a page of the maximum size."""


async def read_once(body: bytes) -> tuple[int, str, str]:
    """Read this page with `once` in a limited address space; return its exit code, output and errors."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=compressed, content_type="application/json", headers={"Content-Encoding": "gzip"})

    compressed = gzip.compress(body, 1)
    async with serving(page) as url:
        options = (f"--api.endpoint={url}", "--auth.token=t", "--api.max-response-size=32MiB")
        command = exporter_command("once", *options)
        return await run(program("bash"), "-c", f'ulimit -v {MEMORY_KIB}; exec "$@"', "bash", *command)


def zeros() -> bytes:
    return b'{"count": 1, "source_servers": [%s]}' % b",".join([b"0"] * 1_000_000)


def ids() -> bytes:
    rows = b",".join(b'{"id":"%d"}' % number for number in range(1_500_000))
    return b'{"count": 1500000, "source_servers": [%s]}' % rows


def nested_rows() -> bytes:
    return b'{"count": 1, "source_servers": [%s' % (b'[{"a":' * 3_000_000)


def long_record() -> bytes:
    return b'{"count": 1, "source_servers": [{"id": "a", "checks": [%s{}]}]}' % (b"{}," * 9_000_000)


@pytest.mark.parametrize(
    ("flood", "message"),
    [
        (zeros, "the API sent more than 1000 rows on one page"),
        (ids, "the API sent more than 1000 rows on one page"),
        (nested_rows, "the API answered 200 with JSON that is nested more than 10000 times"),
    ],
)
async def test_a_flood_of_rows_is_a_bad_response_and_needs_little_memory(
    flood: Callable[[], bytes], message: str
) -> None:
    exit_code, output, errors = await read_once(flood())
    assert exit_code == 1
    assert f"bad_response: {message}" in errors
    assert 'exporter_poll_failures_total{account="default",reason="bad_response"} 1' in output


async def test_a_record_with_millions_of_values_loses_these_values_only() -> None:
    exit_code, output, errors = await read_once(long_record())
    assert (exit_code, errors) == (0, "")
    assert 'exporter_unreadable_values_total{field="checks"} 1' in output
