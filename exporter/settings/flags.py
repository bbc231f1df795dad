"""Command-line flags: `--group.option=VALUE` or `--group.option VALUE`, and `--[no-]group.switch`."""

from collections.abc import Iterable, Iterator, Sequence

from exporter.errors import ConfigurationError, mask_credentials
from exporter.settings.faults import cut_name, find_contained, suggest_name
from exporter.settings.kinds import is_secret
from exporter.settings.options import Option


def parse_flags(arguments: Sequence[str], known: Sequence[Option]) -> dict[str, str | list[str]]:
    """Return the values of the flags by the key of their option; a list for an option with several values.

    Raise ConfigurationError, which never shows a value: it can be a secret.
    """
    by_flag = {option.flag: option for option in known}
    negated = {f"--no-{option.flag[2:]}": option for option in known if not option.placeholder}
    values: dict[str, str | list[str]] = {}
    rest = iter(enumerate(arguments, 1))
    for position, argument in rest:
        flag, equals, value = argument.partition("=")
        option = by_flag.get(flag) or negated.get(flag)
        if option is None:
            secret_names = {name for each in known if is_secret(each.field) for name in (each.group, each.name) if name}
            raise ConfigurationError([_explain_unknown(position, argument, (*by_flag, *negated), secret_names)])
        if not option.placeholder:
            if equals:
                raise ConfigurationError([f"{flag}: takes no value: write {option.flag} or --no-{option.flag[2:]}"])
            value = "false" if flag in negated else "true"
        elif not equals:
            value = _next_value(option, rest)
        if not value:
            raise ConfigurationError([f"{flag}: is empty: write a value, or remove the flag"])
        if option.is_list:
            values[option.key] = [*values.get(option.key, ()), *value.split(",")]
        elif option.key in values:
            raise ConfigurationError([f"{flag}: is set more than once"])
        else:
            values[option.key] = value
    return values


def _next_value(option: Option, rest: Iterator[tuple[int, str]]) -> str:
    following = next(rest, None)
    if following is None or following[1].startswith("--"):
        raise ConfigurationError([f"{option.flag}: needs a value: write {option.flag}={option.placeholder}"])
    return following[1]


def _explain_unknown(position: int, argument: str, known: Sequence[str], secret_names: Iterable[str]) -> str:
    flag = argument.partition("=")[0]
    if flag.startswith("-") and find_contained(flag, secret_names):
        # If the space or `=` is missing, the value is a part of the flag.
        return f"argument {position}: no such option{suggest_name(flag, known) or '; --help lists them'}"
    if flag.startswith("-"):
        return f"{cut_name(mask_credentials(flag))}: no such option{suggest_name(flag, known) or '; --help lists them'}"
    return f"argument {position}: belongs to no option: an option is written as --OPTION=VALUE, a command comes first"
