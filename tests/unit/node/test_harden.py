"""Each promise is kept by a process of its own, which the test watches from outside."""
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """import os, resource, signal, sys
from pathlib import Path
from holdfast.node import harden
from holdfast.replica.lmdb_file import maps_of
"""
NOBODY = 65_534


def run(code: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run([sys.executable, "-c", PRELUDE + code, *args], cwd=cwd, env=environment, capture_output=True, text=True,
                          timeout=60, check=False)


def wait_status_of(code: str, cwd: Path) -> int:
    """How a child of ours ended, the core flag included, which subprocess hides."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    child = subprocess.Popen([sys.executable, "-c", PRELUDE + code], cwd=cwd, env=environment)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = 0                                 # it has been waited for
    return status


UNLIMITED = "resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)\n"
ABORT = "os.abort()\n"


@pytest.fixture
def dumps_core(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Shows that the tests that ask for it can fail: without hardening, the same end dumps core here."""
    if not os.WCOREDUMP(wait_status_of(UNLIMITED + ABORT, tmp_path_factory.mktemp("cores"))):
        pytest.skip("this machine lets nobody dump core")


@pytest.mark.usefixtures("dumps_core")
@pytest.mark.parametrize("limit", ["", "resource.setrlimit = lambda *limits: None\n"], ids=["as it is", "with the limit left unlimited"])
def test_no_core_even_with_an_unlimited_ulimit_and_sigabrt(limit: str, tmp_path: Path) -> None:
    status = wait_status_of(UNLIMITED + limit + "harden.forbid_core_dumps()\n" + ABORT, tmp_path)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []


def test_the_core_limit_is_zero_and_the_process_not_dumpable(tmp_path: Path) -> None:
    done = run("harden.forbid_core_dumps()\nprint(resource.getrlimit(resource.RLIMIT_CORE), harden._libc.prctl(3))", cwd=tmp_path)
    assert done.stdout == "(0, 0) 0\n", done.stderr


LOCK = """
from holdfast.replica.lmdb import LmdbReplica
from holdfast.storage import WriteBatch
replica = LmdbReplica(sys.argv[1], writable=True)
try:
    harden.lock_memory([replica.file])
except harden.MemoryLockError as error:
    print("refused:", error)
    sys.exit(3)
block = bytearray(b"x" * 8_000_000)
for _ in range(2):
    flags, where = {}, ""
    for line in open("/proc/self/smaps"):
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            where = line.rstrip().split(maxsplit=5)[5] if len(line.split()) == 6 else "anonymous"
        elif head == "VmFlags:":
            flags.setdefault(where, set()).add("lo" in line.split())
    print("map", flags[os.path.realpath(replica.file)], "heap", flags["[heap]"], "anonymous", True in flags["anonymous"])
    replica.clear()
replica.apply([WriteBatch(index=1, time_ms=1, changes={"k": b"v" * 100_000})])
print(len(replica.open().get("k")))
"""


def test_memory_is_locked_and_the_replicas_map_is_not_nor_the_one_that_takes_its_place(tmp_path: Path) -> None:
    done = run(LOCK, str(tmp_path / "replica"), cwd=tmp_path)
    if done.returncode == 3:
        pytest.skip(f"this machine lets nobody lock memory: {done.stdout}")
    assert done.stdout == "map {False} heap {True} anonymous True\n" * 2 + "100000\n", done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
def test_without_the_right_to_lock_the_error_names_disable_mlock(tmp_path: Path) -> None:
    code = f"""
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65_536, 65_536))
os.setgid({NOBODY})
os.setuid({NOBODY})
try:
    harden.lock_memory([])
except harden.MemoryLockError as error:
    print(error)
"""
    done = run(code, cwd=tmp_path)
    assert done.stdout.startswith("cannot lock memory: "), done.stderr
    assert "(the limit is 65536 bytes)" in done.stdout
    assert "disable_mlock = true" in done.stdout


def test_a_file_that_is_not_mapped_has_no_maps(tmp_path: Path) -> None:
    program = os.path.realpath(sys.executable)
    done = run("print(maps_of('/no/such/file'), len(maps_of(sys.argv[1])) > 0)", program, cwd=tmp_path)
    assert done.stdout == "[] True\n", done.stderr


PARENT = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", '''
import os, sys
from holdfast.node import harden
harden.die_with(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
''', str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_dies_with_its_main_process_killed(tmp_path: Path) -> None:
    """The end is seen through the pipe that only the worker holds: no pid is looked at that might be another's by now."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    code = PRELUDE + PARENT.replace("stdout=subprocess.PIPE)", f"stdout=subprocess.PIPE, pass_fds=({write_end},))")
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, pass_fds=(write_end,))
    os.close(write_end)
    try:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        assert parent.wait(timeout=30) == -signal.SIGKILL
        assert os.read(read_end, 1) == b"", "end of file: the last process that held the pipe has gone"
    finally:
        os.close(read_end)
        parent.stdout.close() if parent.stdout else None


def test_a_worker_whose_main_process_is_gone_already_ends_at_once(tmp_path: Path) -> None:
    done = run("harden.die_with(os.getpid())\nprint('still here')", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")
