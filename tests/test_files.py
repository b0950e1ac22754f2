"""Where results go: links, devices, pipes and modes are respected, and nothing is half written."""

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from bnnup.errors import MediaError
from bnnup.system.files import check_writable, move, replacing, writing

pytestmark = pytest.mark.skipif(os.name != "posix", reason="devices and modes are POSIX's")
CONTENT = bytes(range(256)) * 1000


def write(path: Path) -> None:
    check_writable(path, force=True)
    with writing(path) as file:
        file.write(b"?" + CONTENT[1:])
        file.seek(0)
        file.write(CONTENT[:1])  # as encoders do that know sizes at the end


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    check_writable(path, force=False)
    write(path)
    reader.join(10)
    assert got == [CONTENT]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # opened at once, by nobody else
    with replacing(pipe) as temporary:
        temporary.write_bytes(b"new")
    assert os.read(reader, 10) == b"new"
    (tmp_path / "file").write_bytes(b"moved")
    move(tmp_path / "file", pipe, "token")
    assert os.read(reader, 10) == b"moved"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_device_is_written_through() -> None:
    check_writable(Path("/dev/null"), force=False)
    write(Path("/dev/null"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_device_is_an_error() -> None:
    with pytest.raises(MediaError, match="No space left"):
        write(Path("/dev/full"))


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_links_are_followed(tmp_path: Path, steps: int, exists: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    goal = tmp_path / "elsewhere" / "goal"
    if exists:
        goal.write_bytes(b"old")
    last: Path = goal
    for number in range(steps):
        link = tmp_path / f"link{number}"
        link.symlink_to(last)
        last = link
    write(last)
    assert goal.read_bytes() == CONTENT
    assert all((tmp_path / f"link{number}").is_symlink() for number in range(steps))
    assert os.listdir(tmp_path / "elsewhere") == ["goal"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_moved_file_goes_where_a_link_leads(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    goal, link = tmp_path / "elsewhere" / "goal", tmp_path / "link"
    link.symlink_to(goal)
    if exists:
        goal.write_bytes(b"old")
        goal.chmod(0o640)
    (tmp_path / "file").write_bytes(CONTENT)
    move(tmp_path / "file", link, "token")
    assert link.is_symlink()
    assert goal.read_bytes() == CONTENT
    assert not exists or stat.S_IMODE(goal.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "link"]


@pytest.mark.parametrize("way", ["writing", "replacing", "move"])
def test_a_result_is_on_the_disk_before_it_has_its_name(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut could leave the name to an empty file."""
    synced: list[int] = []
    named: list[int] = []

    def fsync(file: int) -> None:
        synced.append(os.fstat(file).st_ino)

    def replace(file: Path, target: Path) -> Path:
        named.extend(synced)
        os.replace(file, target)
        return target

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    if way == "writing":
        write(tmp_path / "out")
    elif way == "replacing":
        with replacing(tmp_path / "out") as temporary:
            temporary.write_bytes(CONTENT)
    else:
        (tmp_path / "file").write_bytes(CONTENT)
        move(tmp_path / "file", tmp_path / "out", "token")
    assert (tmp_path / "out").stat().st_ino in named


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no /dev/shm")
def test_files_in_shared_memory_are_files(request: pytest.FixtureRequest) -> None:
    path = Path(f"/dev/shm/bnnup-test-{os.getpid()}")
    path.write_bytes(b"old")
    request.addfinalizer(path.unlink)
    with pytest.raises(MediaError, match="exists"):
        check_writable(path, force=False)


@pytest.mark.parametrize("exists", [False, True])
def test_what_a_link_leads_to_is_not_overwritten_unasked(tmp_path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / "goal").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "goal")
    if exists:
        with pytest.raises(MediaError, match="exists"):
            check_writable(tmp_path / "link", force=False)
    else:
        check_writable(tmp_path / "link", force=False)


def test_a_link_into_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "absent" / "goal")
    with pytest.raises(MediaError, match="no folder"):
        check_writable(tmp_path / "link", force=True)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_the_mode_of_a_file_stays(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path)
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == mode
    (tmp_path / "file").touch()
    move(tmp_path / "file", path, "token")
    assert path.read_bytes() == b""
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_that_is_usual(tmp_path: Path) -> None:
    write(tmp_path / "out")
    (tmp_path / "other").touch()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_names_that_are_too_long_are_known_beforehand(tmp_path: Path) -> None:
    check_writable(tmp_path / ("ü" * 125 + ".png"), force=False)
    with pytest.raises(MediaError, match="too long"):
        check_writable(tmp_path / ("ü" * 126 + ".png"), force=False)


def test_an_error_leaves_all_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "goal").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "goal")
    with pytest.raises(MediaError), writing(tmp_path / "link") as file:
        file.write(CONTENT)
        raise ValueError("broken")
    assert (tmp_path / "goal").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["goal", "link"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/stdout differs")
def test_standard_output_by_its_name_is_a_device() -> None:
    check_writable(Path("/dev/stdout"), force=False)
