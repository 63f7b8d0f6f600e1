"""With how many threads a local encoder computes. Apart from `device`, which needs torch."""

import os
from pathlib import Path

import psutil

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def choose_threads(wanted: int) -> int:
    """`wanted`, or for 0 the physical cores that this process may use: its affinity and a container's quota count."""
    if wanted:
        return wanted
    limits = [psutil.cpu_count(logical=False) or os.cpu_count() or 1, _container_cores()]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    return max(1, min(limits))


def _container_cores() -> int:
    """Whole cores of the cgroup's quota. Threads beyond it are paused in mid-batch, and the others wait for them."""
    unlimited = 1 << 16
    if not _CGROUP_QUOTA.is_file():
        return unlimited
    quota, _, period = _CGROUP_QUOTA.read_text().strip().partition(" ")
    return unlimited if quota == "max" else max(1, int(quota) // int(period or 100_000))
