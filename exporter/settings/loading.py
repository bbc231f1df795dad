"""How options are read: flags first, then the environment, then the configuration file, then defaults.

What is wrong ends in a ConfigurationError whose lines name the option, what it was given and what it takes.
"""

import contextlib
import difflib
import os
import re
import shutil
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, CliSettingsSource, PydanticBaseSettingsSource, SettingsError

from exporter.errors import ConfigurationError
from exporter.settings.manual import Manual, help_text
from exporter.settings.options import Option, options
from exporter.settings.strict_yaml import read_file

S = TypeVar("S", bound=BaseSettings)

# Kubernetes gives these to every pod beside a Service that is called sms-exporter.
_SERVICE_LINK: Final = re.compile(r"SMS_EXPORTER_(SERVICE_(HOST|PORT)|PORT)(_.*)?")
_SHOWN: Final = 60


def load_settings(tree: type[S], argv: Sequence[str], manual: Manual) -> S:
    """Read the options of `tree`. `--help` prints the manual and raises SystemExit.

    Raises ConfigurationError.
    """
    known = tuple(options(tree))
    _check_environment(os.environ, known, tree.model_config.get("env_prefix", ""))
    parser = _Parser(
        prog=manual.prog,
        allow_abbrev=False,
        known=known,
        manual=lambda: help_text(manual, tree, shutil.get_terminal_size().columns),
    )
    with explained(tree):
        flags: CliSettingsSource[_Parser] = CliSettingsSource(
            tree,
            cli_parse_args=list(argv),
            root_parser=parser,
            parse_args_method=_Parser.parse_args,
            add_argument_method=partial(_add_argument, known=frozenset(option.flag for option in known)),
        )
        return tree(_cli_settings_source=flags)


@contextlib.contextmanager
def explained(tree: type[BaseSettings]) -> Iterator[None]:
    """Raise the faults that are found inside as a ConfigurationError, by the names of the tree's options."""
    known = tuple(options(tree))
    try:
        yield
    except ValidationError as error:
        raise ConfigurationError(_line(fault, known) for fault in error.errors()) from None
    except SettingsError as error:
        raise ConfigurationError([str(error)]) from None


class _Parser(ArgumentParser):
    """A parser that raises what is wrong, and never repeats what may be a secret."""

    def __init__(
        self,
        *,
        known: Sequence[Option] = (),
        manual: Callable[[], str] = str,
        **kwargs: Any,  # noqa: ANN401 - argparse's own
    ) -> None:
        super().__init__(**kwargs)
        self._known = known
        self._manual = manual

    def format_help(self) -> str:
        """Give the manual."""
        return self._manual()

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:  # type: ignore[override]  # noqa: ANN401 - argparse's own
        """Parse all of `args`; an argument that is no option's is an error that names it."""
        parsed, unknown = self.parse_known_args(args, namespace)
        for argument in unknown:
            if argument.startswith("-"):
                flag = argument.partition("=")[0]
                raise ConfigurationError([f"{flag}: no such option{self._near(flag)}"])
        if unknown:
            stray = "an argument that belongs to no option was given: options begin with --, a command comes first"
            raise ConfigurationError([stray])
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise ConfigurationError([re.sub(r"^argument (\S+?)(/\S+|, \S+)?: ", r"\1: ", message)])

    def _near(self, flag: str) -> str:
        return _nearest(flag, [option.flag for option in self._known]) or "; --help lists them"


def _add_argument(target: Any, *names: str, known: frozenset[str], **kwargs: Any) -> Any:  # noqa: ANN401 - argparse's own
    """Add a flag, if it is an option's; a whole group as JSON is none of ours. The manual tells of it."""
    flag = next((name for name in names if name in known), None)
    return target.add_argument(flag, **kwargs | {"help": None}) if flag else None


def _check_environment(environ: Mapping[str, str], known: Sequence[Option], prefix: str) -> None:
    variables = {option.variable for option in known}
    for name in environ:
        upper = name.upper()
        if upper.startswith(prefix) and upper not in variables and not _SERVICE_LINK.fullmatch(upper):
            raise ConfigurationError([f"{name}: no such option{_nearest(upper, sorted(variables))}"])


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _line(fault: Any, known: Sequence[Option]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Write one fault that pydantic found as: the option, what it was given, what it takes."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])[1:]
    options_by_key = {option.key: option for option in known}
    key = re.sub(r"^accounts\[\d+\]\.|\[\d+\]$", "", path)
    option = options_by_key.get(key)
    message = fault["msg"].removeprefix("Value error, ")
    if option is None:
        if fault["type"] == "extra_forbidden":
            return f"{path}: no such option{_nearest(key, sorted(options_by_key))}"
        return message if path in options_by_key or not path else f"{path}: {message}"
    message = message.removeprefix("Input ")
    given = "" if option.is_secret else f"given {_shown(fault['input'])}: "
    return f"{option.flag if path.startswith(option.key) else path}: {given}{message}"


def _shown(value: object) -> str:
    # A user and a password may stand before the host of a URL, also of one that is not written as it should be.
    text = repr(re.sub(r"^(\w+://)?.*@", r"\1<secret>@", value) if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class ConfigFileSource(PydanticBaseSettingsSource):
    """Gives the options of the YAML file that config.file names, if a source before it gave that option."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Give one field's value; unused, because the file is read whole."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Read the file. Raises ConfigurationError where it is not a YAML mapping."""
        config = self.current_state.get("config")
        path = config.get("file") if isinstance(config, dict) else None
        return read_file(Path(path), "--config.file") if path else {}
