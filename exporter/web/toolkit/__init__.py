"""The web configuration file that Prometheus exporters share: TLS, users, headers and a rate limit.

The format is exporter-toolkit's: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from exporter.web.toolkit.middleware import access_control
from exporter.web.toolkit.policy import Policy, read_policy, summary
from exporter.web.toolkit.watching import WebConfigFile

__all__ = ["Policy", "WebConfigFile", "access_control", "read_policy", "summary"]
