"""What the process of a server is set up with."""

import platform
import re
import subprocess
import sys

import pytest

HEAPS = """
import asyncio, ctypes, threading
from exporter import process

async def main():
    barrier = threading.Barrier(4)
    await asyncio.gather(*(asyncio.to_thread(lambda: barrier.wait() and bytes(10_000)) for _ in range(4)))

process.serve(main)
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no heaps of its own for threads")
def test_all_threads_allocate_from_one_heap() -> None:
    told = subprocess.run([sys.executable, "-c", HEAPS], check=True, capture_output=True, text=True, timeout=60).stdout
    assert re.findall(r"<heap nr=\"(\d+)\"", told) == ["0"]
