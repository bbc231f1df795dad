"""`capture`: save what the API answers for one account, with everything private replaced."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from msgspec import UNSET
from pydantic import Field

from exporter.capture.anonymizer import Anonymizer
from exporter.capture.fields import PATH_WORDS
from exporter.capture.file import Capture, encode_capture, write_capture
from exporter.commands.capture_reading import build_capture, record_answers
from exporter.commands.options import OnceSettings, load_once
from exporter.commands.output import PROG, is_terminal, print_errors, print_text
from exporter.commands.process import get_runtime
from exporter.commands.usage import ALL_OPTIONS_HINT, EXIT_FAILURE
from exporter.errors import ConfigurationError, escape_unprintable
from exporter.settings import AccountSettings
from exporter.settings.manual import Manual
from exporter.settings.options import Flag

DESCRIPTION: Final = (
    "Polls one account once and saves the answers of the API in a file, in which names, addresses, ids and all other "
    "texts that are not known to be harmless are replaced. Shows what the file would contain, and asks before it "
    f"writes it. {PROG} simulate --replay serves such a file."
)
EXIT_CODES: Final = MappingProxyType(
    {
        0: "The file was written.",
        1: "There was no answer, the file could not be written, or the question was not answered with yes.",
        2: "The configuration is invalid, or an account has no credentials; nothing was requested.",
    },
)
DEFAULT_FILE: Final = Path("sms-capture.json")
MAX_EXAMPLES: Final = 12
"""Number of kept texts that are shown per field."""


class CaptureSettings(OnceSettings):
    """Options of a capture."""

    only_account: Annotated[str | None, Flag("account")] = Field(
        None, description="Capture this account; required if several are configured."
    )
    output: Path = Field(DEFAULT_FILE, description="File to write; it must not exist.")
    yes: bool = Field(False, description="Write the file without asking, for scripts.")

    def target(self) -> AccountSettings:
        """Return the account to capture. Raise ConfigurationError if it is not clear which one."""
        accounts = {account.name: account for account in self.targets()}
        names = ", ".join(accounts)
        if self.only_account is None and len(accounts) > 1:
            raise ConfigurationError([f"--account: required, because several accounts are configured: {names}"])
        chosen = names if self.only_account is None else self.only_account
        if chosen not in accounts:
            raise ConfigurationError([f"--account: no account is called {chosen!r}; the accounts are {names}"])
        return accounts[chosen]


def main(argv: Sequence[str]) -> int:
    """Capture, ask, write the file and return the exit code."""
    manual = Manual(f"{PROG} capture", DESCRIPTION, EXIT_CODES, ALL_OPTIONS_HINT, brief=True)
    settings = load_once(CaptureSettings, argv, manual)
    account = settings.target()
    _check_options(settings)
    runtime = get_runtime()
    taken_at = runtime.clock.time()
    recorder = asyncio.run(record_answers(account, settings.collector.details, runtime))
    print_errors(
        f"{name}: {error.reason}: {error.message.removesuffix('.')}; {error.hint}"
        for name, error in recorder.errors.items()
    )
    if not any(answer.response for answer in recorder.answers):
        return EXIT_FAILURE
    anonymizer = Anonymizer()
    capture = build_capture(recorder, account, settings.collector.details.collectors, taken_at, anonymizer)
    content = encode_capture(capture)
    print_text("\n".join(describe(capture, len(content), anonymizer)))
    if not (settings.yes or _agrees(settings.output)):
        print_text("Nothing was written.")
        return EXIT_FAILURE
    try:
        write_capture(settings.output, content)
    except OSError as error:
        print_errors([f"--output: {settings.output}: cannot be written: {error.strerror}"])
        return EXIT_FAILURE
    print_text(f"Written: {_shown(str(settings.output))}. Read it before you pass it on.")
    return 0


def _check_options(settings: CaptureSettings) -> None:
    """Raise ConfigurationError before any request if the file could not be written at the end."""
    if settings.output.exists() or settings.output.is_symlink():
        raise ConfigurationError([f"--output: {settings.output}: exists already; choose another name or remove it"])
    if not settings.output.parent.is_dir():
        raise ConfigurationError([f"--output: {settings.output}: there is no directory {settings.output.parent}"])
    if not settings.yes and not (is_terminal() and sys.stdin is not None and sys.stdin.isatty()):
        raise ConfigurationError(["--yes: required, because there is no terminal to ask on before the file is written"])


def _agrees(path: Path) -> bool:
    try:
        return input(f"Write this to {_shown(str(path))}? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def describe(capture: Capture, size: int, anonymizer: Anonymizer) -> Iterator[str]:
    """Return the lines that show what a capture contains."""
    yield f"The capture has {_count_answers(len(capture.exchanges))} and {size} bytes."
    if capture.left_out:
        yield f"Left out, because of the limits of a capture: {_count_answers(capture.left_out)}."
    yield ""
    yield "Answers:"
    requests = Counter(
        (_without_ids(exchange.path), exchange.status, exchange.body is UNSET and exchange.body_bytes > 0)
        for exchange in capture.exchanges
    )
    for (path, status, is_without_body), count in requests.items():
        note = "  (not JSON, only its size is kept)" if is_without_body else ""
        yield f"  {count:5d}  {status or 'no answer'}  GET {path}{note}"
    yield ""
    yield "Values that are replaced, by field:"
    yield from (f"  {count:5d}  {_shown(name)}" for name, count in sorted(anonymizer.replaced.items()))
    yield ""
    yield "Texts that are kept, by field:"
    for name, texts in sorted(anonymizer.kept.items()):
        if shown := _examples(texts):
            yield f"  {_shown(name)}: {shown}"
    if anonymizer.unknown:
        yield ""
        yield f"Unknown fields, whose names are kept: {', '.join(map(_shown, sorted(anonymizer.unknown)))}"
    yield ""
    yield "Numbers of documented fields are kept, such as sizes, times, speeds and counts; other numbers are replaced."


def _count_answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


def _without_ids(path: str) -> str:
    return "/".join(part if part in PATH_WORDS else "ID" for part in path.split("/"))


def _examples(texts: Mapping[str, int]) -> str:
    shown = [_shown(text) for text in sorted(texts) if text]
    more = f" and {len(shown) - MAX_EXAMPLES} more" if len(shown) > MAX_EXAMPLES else ""
    return f"{', '.join(shown[:MAX_EXAMPLES])}{more}"


def _shown(text: str) -> str:
    return escape_unprintable(text)
