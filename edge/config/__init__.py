"""The configuration: one TOML file configures all. Only ``edge.app`` and ``edge.cli`` read it."""

from edge.config.load import load, resolve
from edge.config.tables import Config

__all__ = ["Config", "load", "resolve"]
