"""The API without a network: a transport that answers as a test says, and a client of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from exporter.auth.credentials import StoredProvider, token_credentials
from exporter.http.transport import Request, Response
from exporter.language import Translatable
from exporter.polling.detail_client import DetailClient
from exporter.sms.client import SmsClient
from support import FakeClock, Unobserved


class Answers:
    """A transport that sends nothing: a test sets the status and the content of all answers."""

    def __init__(self) -> None:
        self.status = 200
        self.content: dict[str, object] = {}
        self.requests: list[Request] = []
        self.sending = self.concurrent = 0

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        self.sending += 1
        self.concurrent = max(self.concurrent, self.sending)
        await asyncio.sleep(0)
        self.sending -= 1
        return Response(self.status, {}, msgspec.json.encode(self.content))

    def answer_errors(self, *records: object) -> None:
        self.content = {"count": len(records), "migration_errors": records}


class ImpatientClock(FakeClock):
    """Time that advances by what is slept."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


def detail_client(answers: Answers, clock: FakeClock, filters: Mapping[str, str]) -> DetailClient:
    """Return a client of an account with these filters, whose requests have those answers."""

    async def read() -> str:
        return "token"

    transport: Any = answers
    client = SmsClient(
        "http://127.0.0.1:9",
        transport=transport,
        credentials=token_credentials(StoredProvider(Translatable("a token"), read)),
        clock=clock,
        observer=Unobserved(),
        rate_limit=1000,
    )
    return DetailClient(client, filters, "auto", clock)
