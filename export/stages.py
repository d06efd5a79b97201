"""Where in YOLOv8 the map is made that behaviours are learnt from, and how one network's map is told from another's."""

from __future__ import annotations

import hashlib
from typing import Any

# The stage of YOLOv8's backbone that sees 16 pixels as one: of those tried (strides 8, 16 and 32 of the backbone, 8 and
# 16 of the neck) it told fights from other scenes best; see weights/README.md.
MAP_STAGE = 6


def map_sha256(network: Any) -> str:
    """Which map an ultralytics network makes, as a SHA-256 in hex: of all that its stages up to the map's hold, in half precision.

    Two networks with the same answer make the same map, whatever they find in it. Half precision, as ``source.pt`` keeps
    it: a model and its own saved weights have one answer.

    :param network: not fused yet: what a fusion leaves depends on the library's version in the last digit.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        stage = name.removeprefix("model.").partition(".")[0]
        if not stage.isdigit() or int(stage) > MAP_STAGE or not value.is_floating_point():
            continue
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().half().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
