"""What may stand on the command lines of the tools."""

from __future__ import annotations

import argparse


def side(text: str) -> int:
    """A multiple of 32 from 32 to 4096."""
    value = int(text)
    if value % 32 or not 32 <= value <= 4096:
        raise argparse.ArgumentTypeError(f"{text}: a multiple of 32 from 32 to 4096 is needed")
    return value


def unit(text: str) -> float:
    """0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: 0 to 1 is allowed")
    return value


def loss(text: str) -> tuple[str, float]:
    """CLASS=POINTS."""
    name, sign, points = text.rpartition("=")
    if not (name and sign) or not 0 <= float(points) <= 100:
        raise argparse.ArgumentTypeError(f"{text}: write CLASS=POINTS, for example knife=3.5")
    return name, float(points)


def points(text: str) -> float:
    """0 to 100."""
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text}: 0 to 100 is allowed")
    return value


def renaming(text: str) -> tuple[str, str]:
    """DATA=MODEL."""
    data, sign, model = text.partition("=")
    if not (data and sign and model):
        raise argparse.ArgumentTypeError(f"{text}: write DATA=MODEL, for example 'phone=cell phone'")
    return data, model


def positive(text: str) -> int:
    """1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: 1 or more")
    return value


def natural(text: str) -> int:
    """0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text}: 0 or more")
    return value
