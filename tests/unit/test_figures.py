"""Figures in the docs."""

import re

from benchmarks.figures import describe_run, replace_tables

PAGE = """# Page

<!-- polls: make bench -->
| a | b |
| --- | --- |
| 1 | 2 |
<!-- end -->

<!-- polls-when: make bench -->
Before.
<!-- end -->

<!-- polls: make soak -->
Another command.
<!-- end -->
"""


def test_the_tables_of_a_command_are_replaced_below_their_headings() -> None:
    tables = {"polls": ["| 3 | 4 |", "| 5 | 6 |"], "polls-when": ["Now."]}
    expected = PAGE.replace("| 1 | 2 |", "| 3 | 4 |\n| 5 | 6 |").replace("Before.", "Now.")
    assert replace_tables(PAGE, tables, "make bench") == expected


def test_a_run_is_described_by_its_date_its_commit_its_machine_and_its_details() -> None:
    pattern = r"Measured on \d{4}-\d\d-\d\d at commit \w+, \d+ cores, Python [\d.]+\w*, seed 5, promtool 2\.\."
    assert re.fullmatch(pattern, describe_run("seed 5", "promtool 2."))
