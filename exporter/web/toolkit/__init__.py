"""The web configuration file that Prometheus's exporters share: TLS, users, headers, a rate limit.

The format is exporter-toolkit's: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from exporter.web.toolkit.middleware import configured_headers, screening
from exporter.web.toolkit.policy import Policy, read_policy, summary
from exporter.web.toolkit.watching import Watched

__all__ = ["Policy", "Watched", "configured_headers", "read_policy", "screening", "summary"]
