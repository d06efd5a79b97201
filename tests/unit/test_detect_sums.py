from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.detect.onnx import needs_exact_sums

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("machine", "flags", "wanted"),
    [
        ("x86_64", "fpu sse avx2", True),
        ("x86_64", "fpu avx2 avx512f avx512_vnni", False),
        ("AMD64", "fpu avx2 avx_vnni", False),
        ("aarch64", "asimd asimddp", False),
        ("x86_64", None, True),
    ],
)
def test_only_x86_without_vnni_needs_exact_sums(tmp_path: Path, machine: str, flags: str | None, wanted: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor : 0\nflags\t\t: {flags}\nbogomips : 1\n")
    assert needs_exact_sums(machine, cpuinfo) is wanted
