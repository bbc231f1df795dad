import pytest

from exporter.families.tasks import read_subtask


@pytest.mark.parametrize(
    ("text", "subtask", "progress"),
    [
        ("", "", None),
        ("MIGRATE_LINUX_FILE-42", "MIGRATE_LINUX_FILE", 0.42),
        (" SYNC-LINUX-0 ", "SYNC-LINUX", 0.0),
        ("X-100", "X", 1.0),
        ("SSL_CONFIG", "SSL_CONFIG", None),
        ("SYNC-LINUX", "SYNC-LINUX", None),
        ("X-", "X-", None),
        ("X-101", "X", None),
        ("X-10.5", "X", None),
        ("X-7%", "X", None),
        ("X-0000000042", "X", None),
        ("X-٤٢", "X", None),
    ],
)
def test_name_and_progress_of_a_subtask_are_read_separately(text: str, subtask: str, progress: float | None) -> None:
    assert read_subtask(text) == (subtask, progress)
