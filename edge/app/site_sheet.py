"""Forty boxes from one spreadsheet: a site file and a label for each row. ``python -m edge.app.site_sheet CSV FOLDER``."""

from __future__ import annotations

import csv
import html
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.app.site_file import FLAT, make_site, quoted, what_lacks
from edge.errors import EX_OK, EX_USAGE, ConfigError, KioskError, StateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SITE_NAME = "kiosk-site.toml"
_LABEL_STYLE = (
    "@page { margin: 10mm } body { font: 11pt sans-serif; display: flex; flex-wrap: wrap; gap: 4mm } "
    "section { border: 0.3mm solid #000; width: 58mm; height: 30mm; padding: 3mm; break-inside: avoid } "
    "h1 { font-size: 15pt; margin: 0 0 2mm } p { margin: 0 }"
)


def read_sheet(path: Path) -> list[dict[str, str]]:
    """The rows, checked; a comma, semicolon or tab between columns.

    :raises ConfigError: with every fault found, each naming its row.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    heading = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=heading.count))
    columns = [name.strip() for name in reader.fieldnames or []]
    unknown = [name for name in columns if name not in FLAT]
    if unknown or "kiosk_id" not in columns:
        fault = f"unknown columns: {', '.join(unknown)}" if unknown else "there is no column kiosk_id"
        raise ConfigError(f"{path}: {fault}", hint=f"The first line names the columns; allowed: {', '.join(FLAT)}")
    rows: list[dict[str, str]] = []
    faults: list[str] = []
    for number, cells in enumerate(reader, start=2):
        row = {name.strip(): (value or "").strip() for name, value in cells.items() if isinstance(name, str)}
        if any(row.values()):
            others = {r["kiosk_id"].lower() for r in rows}
            faults += [f"row {number}: {fault}" for fault in _faults(row, others, spilt=None in cells)]
            rows.append(row)
    if not rows and not faults:
        faults.append("there is no row below the first line")
    if faults:
        raise ConfigError("\n  ".join([f"{path}:", *faults]))
    return rows


def _faults(row: Mapping[str, str], others: set[str], *, spilt: bool) -> list[str]:
    kiosk = row["kiosk_id"]
    faults = ["more cells than columns"] if spilt else []
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", kiosk):
        faults.append(f"kiosk_id {kiosk!r}: allowed: 1 to 40 letters, digits, - and _")
    elif kiosk.lower() in others:
        faults.append(f"kiosk_id {kiosk!r}: each once")
    try:
        lacks = [key for key in what_lacks(make_site(row, "this row")) if key != "kiosk_id"]
    except ConfigError as error:
        return [*faults, error.message]
    return [*faults, f"missing: {', '.join(lacks)}"] if lacks else faults


def write_sites(rows: Sequence[Mapping[str, str]], folder: Path) -> None:
    """FOLDER/<kiosk id>/kiosk-site.toml, readable for nobody else (there are passwords in it), and labels.html.

    :raises StateError: the folder cannot be written.
    """
    try:
        for row in rows:
            home = folder / row["kiosk_id"]
            home.mkdir(parents=True, exist_ok=True)
            (home / SITE_NAME).unlink(missing_ok=True)
            lines = [f"{key} = {quoted(value)}\n" for key, value in row.items() if value]
            with os.fdopen(os.open(home / SITE_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.writelines(lines)
        (folder / "labels.html").write_text(labels(rows), encoding="utf-8")
    except OSError as error:
        raise StateError(f"{error.filename or folder} cannot be written: {error.strerror}") from None


def labels(rows: Sequence[Mapping[str, str]]) -> str:
    """A page to print and cut: which box goes where."""
    cards = "".join(
        f"<section><h1>{html.escape(row['kiosk_id'])}</h1>"
        + "".join(f"<p>{html.escape(row.get(key, ''))}</p>" for key in ("kiosk_site", "kiosk_address"))
        + "</section>\n"
        for row in rows
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Kiosk Guard: labels</title>'
        f"<style>{_LABEL_STYLE}</style></head><body>\n{cards}</body></html>\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run with the command line's arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m edge.app.site_sheet CSV FOLDER\n")
        return EX_USAGE
    sheet, folder = map(Path, arguments)
    try:
        rows = read_sheet(sheet)
        write_sites(rows, folder)
    except KioskError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{len(rows)} site files and labels.html in {folder}\n")
    return EX_OK


if __name__ == "__main__":
    sys.exit(main())
