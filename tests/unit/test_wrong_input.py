"""Wrong inputs: each is one line that names the source, the option, the value and what is allowed."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli import main
from support import DATA

INPUTS: list[dict[str, Any]] = yaml.safe_load((DATA / "wrong-input.yml").read_text(encoding="utf-8"))
LIBRARY_WORDS = re.compile(
    r"Input should|Extra inputs|String should|Tuple should|valid (tuple|string|integer|boolean)|ignored explicit"
    r"|expected one argument|unrecognized arguments|validation error|Value error|Traceback|stream end",
)


@pytest.mark.parametrize("wrong", INPUTS, ids=[wrong["error"][:60] for wrong in INPUTS])
def test_a_wrong_input_is_one_line_and_exit_code_2(
    wrong: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("SMS_EXPORTER_"):
            monkeypatch.delenv(name)
    for name, value in wrong.get("variables", {}).items():
        monkeypatch.setenv(name, value)
    Path("empty-secret").touch()
    arguments = ["check", *wrong.get("flags", [])]
    if "file" in wrong:
        Path("sms.yml").write_text(wrong["file"], encoding="utf-8")
        arguments.append("--config.file=sms.yml")
    if "web" in wrong:
        Path("web.yml").write_text(wrong["web"], encoding="utf-8")
    assert main(arguments) == 2
    output, errors = capsys.readouterr()
    assert (output, errors) == ("", f"sms-exporter: error: {wrong['error']}\n")
    assert "SECRET" not in errors
    assert not LIBRARY_WORDS.search(errors)


def test_the_wrong_inputs_have_different_causes() -> None:
    assert len({wrong["error"] for wrong in INPUTS}) >= 88
