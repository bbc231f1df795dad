"""`python -m benchmarks.served KIND SERVERS COLLECTORS DELAY`: one of the measured servers, on a free port.

KIND is `api` (the pages of a fleet, each after DELAY seconds), `naive` (the baseline, which renders at each scrape) or
`static` (aiohttp with the bytes of one scrape of ours). It prints its URL once it is ready.
"""

import asyncio
import gzip
import sys
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from benchmarks import naive
from benchmarks.pages import PAGE_SIZE, pages_of, records_of
from benchmarks.polls import OurPoll, chosen

Handler = Callable[[web.Request], Awaitable[web.Response]]


def api(servers: int, _: str, delay: float) -> Handler:
    """Serve the list, and at `/requests` the number of page requests so far."""
    pages = pages_of(records_of(servers))
    requests = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal requests
        if request.path == "/requests":
            return web.json_response(requests)
        requests += 1
        await asyncio.sleep(delay)
        return web.Response(body=pages[int(request.query["offset"]) // PAGE_SIZE], content_type="application/json")

    return answer


def baseline(servers: int, collectors: str, _: float) -> Handler:
    """Serve the exposition of the baseline."""
    shown = naive.snapshot_of(pages_of(records_of(servers)))

    async def answer(_: web.Request) -> web.Response:
        body = gzip.compress(naive.render(chosen(collectors), shown), 1)
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    return answer


def static(servers: int, collectors: str, _: float) -> Handler:
    """Serve the bytes of one scrape of ours from memory."""
    body = OurPoll(collectors).poll(pages_of(records_of(servers)), time.time())

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    return answer


KINDS = {"api": api, "naive": baseline, "static": static}


async def _serve(handler: Handler) -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201 - read by the parent process
    await asyncio.Event().wait()


if __name__ == "__main__":
    kind, servers, collectors, delay = sys.argv[1:]
    asyncio.run(_serve(KINDS[kind](int(servers), collectors, float(delay))))
