"""The page at `/`: where a person who opens the address finds the rest."""

from html import escape
from string import Template
from typing import Final

from exporter import __version__

_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Huawei Cloud SMS exporter</title>
<style>
body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem; }
</style>
</head>
<body>
<h1>Huawei Cloud SMS exporter</h1>
<p>Source servers of the Server Migration Service, for Prometheus. Version $version.</p>
<ul>
<li><a href="$metrics">Metrics</a></li>
<li><a href="/-/healthy">Healthy</a>: the process serves</li>
<li><a href="/-/ready">Ready</a>: each account was polled once</li>
</ul>
</body>
</html>
""")


def landing_page(telemetry_path: str) -> str:
    """Give the page as HTML."""
    return _PAGE.substitute(version=escape(__version__), metrics=escape(telemetry_path))
