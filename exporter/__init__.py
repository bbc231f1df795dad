"""Prometheus exporter for Huawei Cloud Server Migration Service."""

__version__ = "0.1.0"
