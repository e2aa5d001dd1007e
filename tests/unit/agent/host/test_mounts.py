from pathlib import Path

from agent.host.mounts import Mount, is_in_sysfs, mount_of
from tests.support.mount_table import write_mounts


def test_a_file_below_a_sysfs_is_in_it(tmp_path: Path) -> None:
    """A container may have the host's sysfs at another path."""
    proc = write_mounts(tmp_path, ("/", "overlay"), ("/proc", "proc"), ("/host/sys", "sysfs"))
    assert is_in_sysfs(Path("/host/sys/class/powercap/intel-rapl:0/energy_uj"), proc)


def test_a_copy_of_the_tree_is_not_in_a_sysfs(tmp_path: Path) -> None:
    """Anybody may have written an ordinary folder."""
    proc = write_mounts(tmp_path, ("/", "ext4"), ("/sys", "sysfs"))
    assert not is_in_sysfs(tmp_path / "sys/class/powercap", proc)


def test_what_is_mounted_over_sysfs_covers_it(tmp_path: Path) -> None:
    """A simulated machine may be mounted over /sys, or over one file of it."""
    counter = "/sys/devices/virtual/powercap/intel-rapl/energy_uj"
    over_all = write_mounts(tmp_path / "a", ("/", "ext4"), ("/sys", "sysfs"), ("/sys", "tmpfs"))
    over_one = write_mounts(tmp_path / "b", ("/", "ext4"), ("/sys", "sysfs"), (counter, "ext4"))
    assert not is_in_sysfs(Path(counter), over_all)
    assert not is_in_sysfs(Path(counter), over_one)
    assert is_in_sysfs(Path("/sys/devices"), over_one)


def test_a_mount_that_another_one_covers_is_not_seen(tmp_path: Path) -> None:
    """A later mount over a folder of the path hides the deeper, earlier one."""
    (tmp_path / "self").mkdir()
    lines = (
        "20 1 0:1 / / rw - ext4 disk rw",
        "21 20 0:2 / /a/sys rw - sysfs sysfs rw",
        "22 20 0:3 / /a rw - tmpfs tmpfs rw",
    )
    (tmp_path / "self/mountinfo").write_text("\n".join(lines) + "\n")
    assert mount_of(Path("/a/sys/class"), tmp_path) == Mount(point=Path("/a"), kind="tmpfs")


def test_a_mount_point_with_a_blank_is_understood(tmp_path: Path) -> None:
    """The kernel writes the blank as an octal number."""
    proc = write_mounts(tmp_path, ("/", "ext4"), ("/my host/sys", "sysfs"))
    assert is_in_sysfs(Path("/my host/sys/class"), proc)


def test_a_root_that_is_mounted_on_itself_is_understood(tmp_path: Path) -> None:
    """An initial RAM file system is."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text("1 1 0:1 / / rw - rootfs rootfs rw\n2 1 0:2 / /sys rw - sysfs sysfs rw\n")
    assert is_in_sysfs(Path("/sys/class"), tmp_path)


def test_without_a_list_of_mounts_nothing_is_in_a_sysfs(tmp_path: Path) -> None:
    """Only what is proved to be real counts as measured."""
    assert not is_in_sysfs(Path("/sys"), tmp_path)
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text("garbage\n - \n1 2 - 3\n")
    assert not is_in_sysfs(Path("/sys"), tmp_path)
