"""Where the models lie that come with the software."""

from __future__ import annotations

from pathlib import Path

from edge.errors import DetectorError

_INSTALLED = Path(__file__).resolve().parent / "shipped"
_CHECKOUT = Path(__file__).resolve().parents[2] / "weights" / "kiosk"

_BEHAVIOUR_INSTALLED = Path(__file__).resolve().parent / "behaviour"
_BEHAVIOUR_CHECKOUT = Path(__file__).resolve().parents[2] / "weights" / "behaviour"


def shipped_bundle(*, candidates: tuple[Path, ...] = (_INSTALLED, _CHECKOUT)) -> Path:
    """The bundle folder inside the installed package or, in a source checkout, ``weights/kiosk``.

    :param candidates: where to look, in order.
    :raises DetectorError: there is none.
    """
    for folder in candidates:
        if (folder / "manifest.json").is_file():
            return folder
    raise DetectorError(
        f"no model came with this installation (looked in {' and '.join(map(str, candidates))})",
        hint="install Kiosk Guard again from its wheel, or name a bundle folder of your own in the configuration",
    )


def shipped_behaviour() -> Path:
    """The behaviour bundle inside the installed package or, in a source checkout, ``weights/behaviour``.

    :raises DetectorError: there is none.
    """
    return shipped_bundle(candidates=(_BEHAVIOUR_INSTALLED, _BEHAVIOUR_CHECKOUT))
