"""Other users of the machine, for tests that run as root."""

import os
import subprocess
import sys

import pytest

NOBODY = 65534


def _nobody_runs_python() -> bool:
    """An interpreter under root's home, say, is closed to everybody else."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", ""], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_shared_python = pytest.mark.skipif(
    os.geteuid() != 0 or not _nobody_runs_python(), reason="needs root, and an interpreter that other users can run"
)
