"""A stand-in for the SMS and IAM APIs over real HTTP, with a living fleet and faults on demand."""

from exporter.simulator.app import Received, Simulator, create_app
from exporter.simulator.authentication import ACTIONS, BadAction, Permissions
from exporter.simulator.faults import KINDS, BadFault, Fault, parse_fault
from exporter.simulator.fleet import Fleet
from exporter.simulator.signing import AccessKey
from exporter.simulator.targets import TargetsUnavailable
from exporter.simulator.tokens import User

__all__ = [
    "ACTIONS",
    "KINDS",
    "AccessKey",
    "BadAction",
    "BadFault",
    "Fault",
    "Fleet",
    "Permissions",
    "Received",
    "Simulator",
    "TargetsUnavailable",
    "User",
    "create_app",
    "parse_fault",
]
