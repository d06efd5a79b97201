"""Is all that the wheels in a folder require in that folder, too, for another Python and processor than this one.

wheelhouse_check.py FOLDER PYTHON PROCESSOR      exit 1 and one line for each requirement that is not met
"""

from __future__ import annotations

import email
import sys
import zipfile
from pathlib import Path

# pip's own copy: it is there wherever pip is, and this runs in an environment that has nothing else.
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

Wheels = dict[str, tuple[str, list[Requirement]]]


def read_wheels(folder: Path) -> Wheels:
    """Version and requirements by name."""
    wheels: Wheels = {}
    for path in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(path) as archive:
            [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1]
            facts = email.message_from_bytes(archive.read(name))
        required = [Requirement(line) for line in facts.get_all("Requires-Dist") or []]
        wheels[canonicalize_name(facts["Name"])] = (facts["Version"], required)
    return wheels


def missing(wheels: Wheels, python: str, processor: str) -> list[str]:
    """What is required there and not met, in words."""
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": processor,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    faults = []
    for owner, (_, required) in wheels.items():
        # On an ARM board the software is installed with its pin driver.
        extras = ["", "pi"] if owner == "kiosk-guard" and processor == "aarch64" else [""]
        for need in required:
            if need.marker and not any(need.marker.evaluate({**there, "extra": extra}) for extra in extras):
                continue
            found = wheels.get(canonicalize_name(need.name))
            if found is None or not need.specifier.contains(found[0], prereleases=True):
                faults.append(f"{owner} requires {need}: {found[0] if found else 'not there'}")
    return faults


def main() -> int:
    """Run with the command line's arguments."""
    folder, python, processor = sys.argv[1:]
    faults = missing(read_wheels(Path(folder)), python, processor)
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
