"""Kiosk Guard's runtime: camera frames in, incidents, local alarm and email out."""

__version__ = "0.1.0"
