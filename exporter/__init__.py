"""Prometheus exporter for Huawei Cloud Server Migration Service."""

from pathlib import Path

__version__ = "0.1.0"


def revision() -> str:
    """Return the commit of the build, which it writes to the file REVISION of the package, or "unknown"."""
    file = Path(__file__).with_name("REVISION")
    return file.read_text(encoding="utf-8").strip() if file.is_file() else "unknown"
