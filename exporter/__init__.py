"""Prometheus exporter for Huawei Cloud Server Migration Service."""

from importlib import resources

__version__ = "0.1.0"


def revision() -> str:
    """Give the commit that was built, which a build writes to the package's file REVISION; else unknown."""
    file = resources.files("exporter") / "REVISION"
    return file.read_text(encoding="utf-8").strip() if file.is_file() else "unknown"
