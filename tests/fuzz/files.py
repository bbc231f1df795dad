"""Targets: the files that users write."""

import contextlib
import gzip
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import yaml
from pydantic import ValidationError

from exporter.auth.secret import clean_secret
from exporter.errors import AuthError, ConfigurationError
from exporter.polling.state_format import VERSION, Unusable, decode_state, encode_state
from exporter.settings import Settings
from exporter.settings.document import Document
from exporter.settings.faults import explain, format_location
from exporter.settings.kinds import get_model
from exporter.settings.loading import Sources
from exporter.settings.options import options
from exporter.settings.strict_yaml import parse_yaml
from exporter.web.toolkit.reading import parse
from fuzz.checks import MARK, SECRET, check_line
from fuzz.choices import Choices
from support import account

FILE = Path("file.yml")
ACCOUNT = account()


def documents(data: bytes) -> None:
    """Parse a YAML file. What is accepted must be what PyYAML reads, and every key must have a line."""
    try:
        document = parse_yaml(data, str(FILE))
    except ConfigurationError as error:
        (line,) = error.lines
        check_line(line)
        return
    for key, value in document.content.items():
        assert document.line((key,)) is not None
        if isinstance(value, list) and value:
            assert document.line((key, 0)) is not None
    # PyYAML's base loader knows neither null nor merged mappings.
    if document.content and not has_null(document.content) and b"<<" not in data:
        assert document.content == yaml.load(data.decode("utf-8-sig"), yaml.BaseLoader)


def read_reference(text: str) -> object:
    """Return what PyYAML reads, all scalars as text."""
    return yaml.load(text, yaml.BaseLoader)


def has_null(value: object) -> bool:
    """Return whether a null is in the value."""
    if isinstance(value, dict):
        return any(has_null(each) for each in value.values())
    return value is None or (isinstance(value, list) and any(has_null(each) for each in value))


KNOWN = {option.key: option for option in options(Settings)}
NAMES = sorted(KNOWN)
SECRET_OPTIONS = ("token", "password", "access_key", "secret_key", "security_token")


def configurations(data: bytes) -> None:
    """Read the options of a configuration file. An error is a few lines, and none of them shows a credential."""
    choices = Choices(data)
    # All options together take ten times as long as those of a few groups.
    read = read_groups if choices.number(15) else read_all
    read(build_tree(choices))


def read_groups(tree: Mapping[str, Any]) -> None:
    """Read each group of options alone."""
    for group, content in tree.items():
        field = Settings.model_fields.get(group)
        model = get_model(field) if field else None
        if model is None or group == "accounts":
            continue
        try:
            model.model_validate(content)
        except ValidationError as error:
            check_lines(ConfigurationError(explain(error, model, format_location)))


def read_all(tree: dict[str, Any]) -> None:
    """Read all options, and those of each account."""
    sources = Sources(Settings, KNOWN, {}, {}, str(FILE), Document(tree))
    try:
        settings = Settings.model_validate(sources.merge())
    except ValidationError as error:
        check_lines(ConfigurationError(explain(error, Settings, sources.locate)))
        return
    with contextlib.suppress(ConfigurationError):
        for target in settings.targets():
            assert target.poll.timeout <= max(target.poll.interval, 10.0)
            assert target.poll.stale_after >= target.poll.interval
            assert SECRET not in repr(target)


def build_tree(choices: Choices) -> dict[str, Any]:
    """Return options with values that are right, almost right or wrong, and the secret where secrets belong."""
    tree: dict[str, Any] = {}
    for _ in range(choices.number(7) + 1):
        option = KNOWN[choices.one_of(NAMES)]
        value = choices.one_of(VALUES) if choices.number(3) else choices.text(choices.number(20))
        group = tree.setdefault(option.group, {}) if option.group else tree
        if isinstance(group, dict):
            group[option.name] = SECRET if option.group == "auth" and option.name in SECRET_OPTIONS else value
    if choices.number(1):
        auth = {name: SECRET for name in SECRET_OPTIONS if choices.number(1)}
        tree["accounts"] = [{"name": choices.one_of(("a", "b", "", "é")), "auth": auth}, choices.one_of(VALUES)]
    return tree


VALUES: tuple[Any, ...] = (
    "cn-north-4",
    "http://127.0.0.1:9",
    "https://user:password@[::1",
    "1m",
    "1.5s",
    "0",
    "-1",
    "1e999",
    "9" * 400,
    "nan",
    "8MiB",
    "true",
    "",
    None,
    "a, b,,c",
    ":10058",
    "[::1]:99999",
    "unix:relative",
    "/nonexistent/\0file",
    [],
    ["a", "a"],
    {},
    {"token": "x"},
    [{"name": "a"}, {"name": "a"}],
    "\ud7ff\u202e\x1b[31m",
)


def web_configurations(data: bytes) -> None:
    """Parse a web configuration file. An error is a few lines, and none of them shows a key or a hash."""
    try:
        # Only as a private key: errors may show other values.
        config, locate = parse(data.replace(b"key: " + MARK, b"key: " + SECRET.encode()), FILE)
    except ConfigurationError as error:
        check_lines(error)
        return
    assert locate(("tls_server_config",))
    assert SECRET not in repr(config)


def check_lines(error: ConfigurationError) -> None:
    """Check the lines of an error."""
    assert error.lines
    for line in error.lines:
        check_line(line)


def states(data: bytes) -> None:
    """Decode the saved state of an account. What is decoded is the same after it has been saved again."""
    choices = Choices(data)
    is_sealed = choices.number(1) == 0
    content = seal(choices.rest()) if is_sealed else choices.rest()
    try:
        state = decode_state(content, ACCOUNT)
    except Unusable as error:
        check_line(str(error))
        return
    assert is_sealed
    again = decode_state(encode_state(state, ACCOUNT), ACCOUNT)
    # As builtins: a record that was read field by field has another type than one that was not.
    assert msgspec.to_builtins(again.snapshot.servers) == msgspec.to_builtins(state.snapshot.servers)
    assert msgspec.to_builtins(again.details) == msgspec.to_builtins(state.details)
    assert again.undocumented_logged_at == state.undocumented_logged_at


def seal(lines: bytes) -> bytes:
    """Return lines of JSON as a file of a state with the right checksum, which no fuzzer can guess."""
    body = gzip.compress(lines, 0, mtime=0)
    begin = b"huaweicloud-sms-exporter state %d " % VERSION
    return begin + sha256(begin + body).hexdigest().encode() + b"\n" + body


def secrets(data: bytes) -> None:
    """Read a secret from the text of a file. It is usable as a header, and reading it again changes nothing."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    try:
        secret = clean_secret("auth.token_file", text)
    except AuthError as error:
        check_line(error.message)
        check_line(error.hint)
        return
    assert secret
    assert secret.isprintable()
    assert secret == secret.strip()
    assert secret in text
    assert clean_secret("auth.token_file", f"\ufeff \n{secret}\r\n") == secret
    secret.encode("utf-8")
