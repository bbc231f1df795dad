"""A bound on the scrapes that are answered at once."""

from aiohttp import web
from aiohttp.typedefs import Handler


class Slots:
    """Lets `most` requests be answered at once, any number where it is 0; others are told to come again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def around(self, handler: Handler) -> Handler:
        """Make a handler that answers while it holds a slot, to the last byte of the answer."""

        async def answered(request: web.Request) -> web.StreamResponse:
            if self._most and self._taken >= self._most:
                raise web.HTTPServiceUnavailable(
                    text=f"{self._most} scrapes are being answered, the most that web.max-requests allows.\n",
                )
            self._taken += 1
            try:
                response = await handler(request)
                await response.prepare(request)
                await response.write_eof()
                return response
            finally:
                self._taken -= 1

        return answered
