"""The metric families of the API's data, declared as data; one file a collector."""

from exporter.families.family import Collector, Family, FleetFamily, ServerFamily, full_name, help_text
from exporter.families.fleet import FLEET
from exporter.families.servers import SERVERS
from exporter.settings import CollectorSettings


def collectors(settings: CollectorSettings) -> tuple[Collector, ...]:
    """Give the collectors that are switched on; the fleet always is."""
    return (FLEET, *((SERVERS,) if settings.servers else ()))


__all__ = ["Collector", "Family", "FleetFamily", "ServerFamily", "collectors", "full_name", "help_text"]
