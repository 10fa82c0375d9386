"""Where memory goes that a process has freed."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from aestyle.processes import keep_freed_memory
import torch
if len(sys.argv) > 1:
    keep_freed_memory()
for _ in range(10):
    torch.ones(80 * 2**18)  # 80 MB, more than glibc ever keeps by itself
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(80 * 2**18)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep freed memory")
def test_freed_memory_is_used_again_unless_the_environment_says_how() -> None:
    def faults(*arguments: str, **environment: str) -> int:
        """Bytes that the system cleared for ten tensors of 80 MB, one after the other."""
        known = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        command = [sys.executable, "-c", FAULTS, *arguments]
        done = subprocess.run(command, env=known | environment, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep") < 80 * 2**20
    assert faults() > 700 * 2**20
    assert faults("keep", MALLOC_PERTURB_="0") > 700 * 2**20
