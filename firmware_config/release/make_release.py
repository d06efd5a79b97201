#!/usr/bin/env python3
"""Makes a signed release of this tree: one command, everything in it named by hash.

    make_release.py build --target aarch64-cp311 --key release-key --out dist
    make_release.py lock                     # resolve the dependencies anew (needs uv)
    make_release.py pack FOLDER ...          # only list, sign and pack what lies in FOLDER

A release is kiosk-guard-VERSION-TARGET.tar: wheelhouse/ with every wheel, requirements.txt with every hash, sbom.cdx.json,
setup/ with install.sh and what it needs, release.json with the SHA-256 of all of them, and release.json.sig over that.
``export-model keygen release-key`` makes a key; its .pub goes to /etc/kiosk-guard/release-keys on the boxes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "update"))

from release_archive import LIST, PREFIX, SIGNATURE, file_hashes
from sbom import make_sbom

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# lgpio has wheels for glibc 2.34 only; the older tags are what the others have.
PLATFORMS = {m: tuple(f"manylinux_2_{n}_{m}" for n in (17, 27, 28, 31, 34)) for m in ("aarch64", "x86_64")}
PLATFORMS = {m: (*tags, f"manylinux2014_{m}") for m, tags in PLATFORMS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Signed releases of Kiosk Guard.")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    build = actions.add_parser("build", help="wheel, wheelhouse, SBOM, list, signature, archive")
    build.add_argument("--target", required=True, metavar="MACHINE-PYTHON", help="such as aarch64-cp311")
    build.set_defaults(command=lambda args: build_release(args.target, _key(args.key), args.out))
    lock = actions.add_parser("lock", help="resolve the dependencies anew, for every Python")
    lock.set_defaults(command=lambda _: lock_all())
    pack = actions.add_parser("pack", help="list, sign and pack a folder")
    pack.add_argument("folder", type=Path)
    pack.add_argument("--version", required=True)
    pack.add_argument("--target", default="", metavar="MACHINE-PYTHON")
    pack.set_defaults(
        command=lambda args: pack_release(args.folder, args.version, args.target, _key(args.key), args.out)
    )
    for each in (build, pack):
        each.add_argument("--key", type=Path, required=True, metavar="FILE", help="the private key, PEM")
        each.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR")
    args = parser.parse_args()
    try:
        made = args.command(args)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"make_release: {error}", file=sys.stderr)
        return 70
    if made:
        print(made)
    return 0


def build_release(target: str, key: Ed25519PrivateKey, out: Path) -> Path:
    """The whole way from this tree to the archive."""
    machine, _, tag = target.partition("-")
    lock = HERE / f"requirements-{tag}.txt"
    if machine not in PLATFORMS or not lock.is_file():
        allowed = ", ".join(f"{m}-cp{p.replace('.', '')}" for m in PLATFORMS for p in PYTHONS)
        raise ValueError(f"--target {target}: allowed: {allowed}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "release"
        wheels = folder / "wheelhouse"
        wheels.mkdir(parents=True)
        _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(REPO))
        (own,) = wheels.glob("kiosk_guard-*.whl")
        version = own.name.split("-")[1]
        where = [x for platform in PLATFORMS[machine] for x in ("--platform", platform)]
        where += ["--python-version", tag.removeprefix("cp"), "--implementation", "cp", "--abi", tag, "--abi", "abi3"]
        where += ["--abi", "none", "--only-binary", ":all:", "--no-deps", "--dest", str(wheels)]
        _pip("download", *where, "--require-hashes", "-r", str(lock))
        _pip("download", *where, "pip")
        digest = hashlib.sha256(own.read_bytes()).hexdigest()
        requirements = f"{lock.read_text()}kiosk-guard=={version} --hash=sha256:{digest}\n"
        (folder / "requirements.txt").write_text(requirements)
        _copy_setup(folder / "setup")
        sbom = make_sbom(sorted(wheels.glob("*.whl")), version=version, created=_now())
        (folder / "sbom.cdx.json").write_text(json.dumps(sbom, indent=1) + "\n")
        return pack_release(folder, version, target, key, out)


def pack_release(folder: Path, version: str, target: str, key: Ed25519PrivateKey, out: Path) -> Path:
    """List, signature and archive; ``latest`` beside it names it for boxes that fetch."""
    told: dict[str, Any] = {"schema": 1, "name": "kiosk-guard", "version": version, "created_utc": _now()}
    if target:
        machine, _, tag = target.partition("-")
        told["target"] = {"machine": machine, "python": tag}
    told["files"] = file_hashes(folder)
    content = (json.dumps(told, indent=1, sort_keys=True) + "\n").encode()
    (folder / LIST).write_bytes(content)
    (folder / SIGNATURE).write_bytes(key.sign(PREFIX + content))
    out.mkdir(parents=True, exist_ok=True)
    archive = out / f"kiosk-guard-{version}-{target or 'any-cp3'}.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        # The list first: who reads the archive knows at once what is to come.
        for name in (LIST, SIGNATURE, *sorted(told["files"])):
            _add(tar, folder / name, name)
    (out / "latest").write_text(archive.name + "\n")
    return archive


def lock_all() -> None:
    """Versions and hashes of all files of every dependency. pip looks at markers for the Python that runs: one a Python."""
    for python in PYTHONS:
        lock = HERE / f"requirements-cp{python.replace('.', '')}.txt"
        with tempfile.TemporaryDirectory() as scratch:
            fresh = Path(scratch) / lock.name
            command = [
                "uv",
                "pip",
                "compile",
                str(REPO / "pyproject.toml"),
                "--extra",
                "pi",
                "--python-version",
                python,
            ]
            command += ["--python-platform", "aarch64-manylinux_2_34", "--only-binary", ":all:", "--generate-hashes"]
            command += ["--no-annotate", "--no-header", "--quiet", "--output-file", str(fresh)]
            subprocess.run(command, check=True)
            head = f"# Kiosk Guard on CPython {python}: every package with the hashes of its files. "
            head += "Made by firmware_config/release/make_release.py lock; not edited by hand.\n"
            lock.write_text(head + fresh.read_text())


def _copy_setup(target: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "demo")
    shutil.copytree(REPO / "firmware_config", target / "firmware_config", ignore=ignore)
    for name in ("install.sh", "README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(REPO / name, target / name)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Nobody's name, no time, plain rights: the same content gives the same archive."""
    content = path.read_bytes()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    tar.addfile(member, io.BytesIO(content))


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def _key(path: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: no Ed25519 key; make one with: export-model keygen FILE")  # noqa: TRY004 - of a value
    return key


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())
