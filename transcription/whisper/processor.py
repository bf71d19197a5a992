"""What the processor computes fast. torch has no public functions for this in all versions."""

from functools import cache
from pathlib import Path

import torch

_CPUINFO = Path("/proc/cpuinfo")
"""The kernel's description of the processor; absent on other systems than Linux."""


def computes_in_bfloat16(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether the CPU has instructions for bfloat16 (AVX512-BF16 or AMX), and torch uses them.

    torch also computes in bfloat16, slowly, on other CPUs.
    """
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_onednn and not _flags(cpuinfo).isdisjoint({"avx512_bf16", "amx_bf16"})


@cache
def has_amx(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether the CPU multiplies matrices in bfloat16 (AMX)."""
    return "amx_bf16" in _flags(cpuinfo)


def _flags(cpuinfo: Path) -> set[str]:
    try:
        return set(cpuinfo.read_text().split())
    except OSError:
        return set()
