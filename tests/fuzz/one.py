"""`python -m fuzz.one TARGET …`: one target in this process, with the options of libFuzzer."""

import sys

import atheris  # type: ignore[import-untyped]  # it has no stubs

with atheris.instrument_imports(include=["exporter", "email"]):
    from exporter.logs import configure_logs
    from fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    target = TARGETS[sys.argv[1]]
    configure_logs("error", "logfmt")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
