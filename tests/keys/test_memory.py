from __future__ import annotations

import json
import subprocess
import sys

PROBE = """
import json, os, resource
from keys.memory import harden
done = harden()
os.close(os.open("/proc/self/fd/%d" % os.memfd_create("x"), os.O_RDWR | os.O_TRUNC))
held = bytearray(64 << 20)  # a lock that made later allocations fail would show here
print(json.dumps([done.no_core, done.not_dumpable, resource.getrlimit(resource.RLIMIT_CORE), len(held)]))
"""


def test_no_core_dump_and_no_ptrace_but_work_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=True)
    assert json.loads(done.stdout) == [True, True, [0, 0], 64 << 20]


def test_with_a_small_lock_limit_nothing_breaks() -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))" + PROBE
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, check=True)
    assert json.loads(done.stdout)[3] == 64 << 20
