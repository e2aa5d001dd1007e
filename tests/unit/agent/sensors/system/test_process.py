import os
import shutil
import subprocess
import sys
from pathlib import Path

from agent.sensors.system.process import memory_now, open_process_tree, process_cpu_ns, status_memory, tree_of
from tests.support.machines import unpacked

PROC = unpacked("two-packages-with-dram") / "proc"
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def test_cpu_and_memory_of_a_process_are_read() -> None:
    """CPU time is in the fields 14 and 15, after a command that may contain brackets."""
    process = open_process_tree([4242], PROC)
    cpu_s, rss, anon, file = process.decode(process.read())
    assert cpu_s == (1234 + 66) / TICKS
    assert (rss, anon, file) == (30000 * PAGE, 20000 * PAGE, 10000 * PAGE)
    assert [(c.name, c.unit, c.kind) for c in process.channels] == [
        ("work_cpu_s", "s", "counter"),
        ("work_rss_bytes", "bytes", "gauge"),
        ("work_anon_bytes", "bytes", "gauge"),
        ("work_file_bytes", "bytes", "gauge"),
    ]


def test_the_processes_of_a_tree_are_summed(tmp_path: Path) -> None:
    """Two equal processes give twice the values of one."""
    for pid in ("1", "2"):
        shutil.copytree(PROC / "4242", tmp_path / pid)
    pair = open_process_tree([1, 2], tmp_path)
    one = open_process_tree([4242], PROC)
    twice = [None if value is None else 2 * value for value in one.decode(one.read())]
    assert list(pair.decode(pair.read())) == twice


def test_a_process_that_was_never_there_is_missing_and_reads_none() -> None:
    """The sum over a tree with an unreadable part is None, not too small."""
    process = open_process_tree([4242, 999], PROC)
    assert process.decode(process.read()) == (None, None, None, None)
    assert [m.why for m in process.missing] == ["absent"]


def test_a_process_that_vanishes_reads_none() -> None:
    """A kept descriptor never reads the numbers of a later process."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = open_process_tree([child.pid], Path("/proc"))
        alive = process.decode(process.read())
        assert all(value is not None for value in alive)
        assert process_cpu_ns(child.pid) is not None
        child.communicate(b"\n")
    assert process.decode(process.read()) == (None, None, None, None)
    assert process_cpu_ns(child.pid) is None
    assert tree_of(child.pid) == []
    assert memory_now(child.pid) == (None, None)
    assert status_memory(child.pid) == (None, None, None)
    process.close()


def test_the_cpu_clock_of_a_process_runs_with_its_work() -> None:
    """It grows by the CPU time that is used."""
    before = process_cpu_ns(os.getpid())
    sum(range(200_000))
    after = process_cpu_ns(os.getpid())
    assert before is not None
    assert after is not None
    assert after > before


def test_a_tree_holds_the_process_and_its_children() -> None:
    """The process comes first."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tree = tree_of(os.getpid())
        child.communicate(b"\n")
    assert tree[0] == os.getpid()
    assert child.pid in tree


def test_pss_and_uss_come_from_smaps_rollup() -> None:
    """USS is all private memory, huge pages included."""
    assert memory_now(4242, PROC) == (95000 * 1024, (5000 + 79000 + 2048) * 1024)


def test_memory_of_status_splits_the_resident_set() -> None:
    """Anonymous and file memory (which includes shared memory) add up to the resident set."""
    assert status_memory(4242, PROC) == (120000 * 1024, 80000 * 1024, 40000 * 1024)


def test_no_process_is_none_and_not_zero() -> None:
    """There is no memory to report."""
    process = open_process_tree([], PROC)
    assert process.decode(process.read()) == (None, None, None, None)
