"""The bill of materials of a wheelhouse as CycloneDX 1.5 JSON: what is in it, of which version, by which hash and licence."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
import zipfile
from email.parser import Parser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OWN = "kiosk-guard"


def make_sbom(wheels: Sequence[Path], *, version: str, created: str) -> dict[str, Any]:
    """One component a wheel, the model in our own wheel, and what needs what.

    :param created: UTC, ISO 8601.
    """
    about = {wheel: _metadata(wheel) for wheel in wheels}
    refs = {_normal(str(told["Name"])): _purl(told) for told in about.values()}
    components = [_component(wheel, told) for wheel, told in about.items() if _normal(str(told["Name"])) != OWN]
    components += [model for wheel in wheels for model in _models(wheel)]
    needs = {
        _purl(told): sorted({refs[n] for n in map(_needed, told.get_all("Requires-Dist") or []) if n in refs})
        for told in about.values()
    }
    root = refs.get(OWN, f"pkg:pypi/{OWN}@{version}")
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([root, created, sorted(refs.values())]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": OWN,
                "version": version,
                "purl": root,
                "licenses": [{"expression": "AGPL-3.0-or-later"}],
            },
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": needed} for ref, needed in sorted(needs.items())],
    }


def _component(wheel: Path, told: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(told),
        "name": str(told["Name"]),
        "version": str(told["Version"]),
        "purl": _purl(told),
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
    }
    if told["License-Expression"]:
        found["licenses"] = [{"expression": str(told["License-Expression"])}]
    elif told["License"] and len(str(told["License"])) < 80:
        found["licenses"] = [{"license": {"name": " ".join(str(told["License"]).split())}}]
    else:
        named = [c.rpartition("::")[2].strip() for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
        if named:
            found["licenses"] = [{"license": {"name": name}} for name in named]
    return found


def _models(wheel: Path) -> list[dict[str, Any]]:
    """Weights are material, too."""
    with zipfile.ZipFile(wheel) as content:
        found = [n for n in content.namelist() if n.endswith("/shipped/manifest.json")]
        told = [json.loads(content.read(name)) for name in found]
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{t['name']}@{t['version']}",
            "name": str(t["name"]),
            "version": str(t["version"]),
            "hashes": [{"alg": "SHA-256", "content": t["model"]["sha256"]}],
            "licenses": [{"license": {"name": str(t["licence"])}}],
        }
        for t in told
    ]


def _metadata(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as content:
        (name,) = (n for n in content.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        return Parser().parsestr(content.read(name).decode())


def _purl(told: Any) -> str:
    return f"pkg:pypi/{_normal(str(told['Name']))}@{told['Version']}"


def _needed(requirement: str) -> str:
    return _normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
