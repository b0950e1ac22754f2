"""What Windows does otherwise, as far as it can be played here: names, open files, consoles."""

import ctypes
import os
import subprocess
import sys
import warnings
from pathlib import Path, PureWindowsPath

import pytest
from conftest import Run

from bnnup import cli
from bnnup.errors import MediaError
from bnnup.system import cpu, files, paths
from bnnup.system.files import check_writable, is_name_on_windows, writing

NAMES = ["con.png", "NUL", "aux .tif", "com1.jpg", "LPT².png", "CONIN$", "prn.tar.gz"]
FINE = ["console.png", "nul_.png", "com10.jpg", "a.nul", "日本.png", ".tmp", "lpt.png"]


@pytest.mark.parametrize("name", [*NAMES, *FINE])
def test_device_names_are_those_that_python_knows(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # is_reserved, from Python 3.13 on
        reserved = PureWindowsPath(name).is_reserved()
    assert is_name_on_windows(name) is not reserved
    assert reserved is (name in NAMES)


@pytest.mark.parametrize("name", ["a:b.png", "a?.png", 'a"b.png', "a.", "a.png ", "a\n.png", "a|b"])
def test_names_that_windows_cannot_write(name: str) -> None:
    assert not is_name_on_windows(name)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in cli, files, paths:
        monkeypatch.setattr(module, "WINDOWS", True)
    monkeypatch.setattr(paths, "SLASHES", ("/", "\\"))
    monkeypatch.setattr(files, "PAUSE", 0.001)


@pytest.mark.usefixtures("windows")
def test_a_result_with_a_devices_name_is_refused_there(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"nul\.png") as caught:
        check_writable(tmp_path / "nul.png", force=True)
    assert caught.value.hint == "output"


@pytest.mark.skipif(os.name == "nt", reason="it is a name elsewhere")
def test_elsewhere_it_is_a_name_like_others(tmp_path: Path) -> None:
    check_writable(tmp_path / "nul.png", force=False)


@pytest.mark.usefixtures("windows")
def test_names_are_as_long_as_windows_counts(tmp_path: Path) -> None:
    check_writable(tmp_path / ("日" * 85 + ".png"), force=False)  # 259 bytes
    with pytest.raises(MediaError, match="too long"):
        check_writable(tmp_path / ("a" * 252 + ".png"), force=False)
    with pytest.raises(MediaError, match="too long"):
        check_writable(tmp_path / ("😀" * 126 + ".png"), force=False)


@pytest.mark.usefixtures("windows")
def test_what_is_read_only_is_known_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.touch()
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != path)
    with pytest.raises(MediaError, match="read-only"):
        check_writable(path, force=True)


@pytest.mark.usefixtures("windows")
def test_drives_are_no_protocols() -> None:
    assert paths.to_path("C://pictures/a.png") == Path("C://pictures/a.png")
    assert paths.to_path("file:///C:/pictures/a.png") == Path("C:/pictures/a.png")


@pytest.mark.usefixtures("windows")
def test_backslashes_part_folders(run: Run, folder: Path, bicubic: Path) -> None:
    photo = folder / "photo.jpg"
    album = folder / "album"
    for place in album / "raw", album / "good":
        place.mkdir(parents=True)
        (place / "photo.jpg").write_bytes(photo.read_bytes())
    big = folder / "big"
    done = run("upscale", album, "-m", bicubic, "-o", big, "--exclude", "raw\\*")
    assert done.code == 0, done.err
    assert [file.relative_to(big).as_posix() for file in big.rglob("*.jpg")] == ["good/photo.jpg"]
    named = f"{folder}{os.sep}new\\"
    assert run("upscale", photo, "-m", bicubic, "-o", named).code == 0
    assert (Path(named) / "photo.jpg").is_file()


@pytest.mark.usefixtures("windows")
def test_patterns_are_names_but_those_of_options(
    run: Run, folder: Path, bicubic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, shells hand them to programs as they are."""
    monkeypatch.chdir(folder)
    photo = (folder / "photo.jpg").read_bytes()
    Path("photo[1].jpg").write_bytes(photo)
    Path("photo1.jpg").write_bytes(photo)
    many = run("upscale", "photo*.jpg", "-m", bicubic, "-o", "many/")
    assert many.code == 0, many.err
    assert sorted(os.listdir("many")) == ["photo.jpg", "photo1.jpg", "photo[1].jpg"]
    one = run("upscale", "photo[1].jpg", "-m", bicubic)
    assert one.code == 0, one.err
    assert Path("photo[1]_x2.jpg").is_file()
    part = run("upscale", "many", "-m", bicubic, "-o", "part", "--include", "photo?.jpg")
    assert part.code == 0, part.err
    assert sorted(name for name in os.listdir("part") if name[0] != ".") == ["photo1.jpg"]


class Held:
    """Stands in for Path.replace while another program has the target open."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.replace = Path.replace

    def __call__(self, file: Path, target: Path) -> Path:
        self.times -= 1
        if self.times >= 0:
            raise PermissionError(13, "The process cannot access the file", str(target))
        return self.replace(file, target)


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("times", [1, files.TRIES])
def test_a_file_that_is_open_for_a_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    held = Held(times)
    monkeypatch.setattr(Path, "replace", lambda file, target: held(file, target))
    with writing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.usefixtures("windows")
def test_a_file_that_stays_open_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    held = Held(1000)
    monkeypatch.setattr(Path, "replace", lambda file, target: held(file, target))
    with pytest.raises(MediaError, match="another program has it open"), writing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp932"])
def test_help_prints_on_consoles_that_lack_its_signs(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bnnup", "upscale", "--help"],
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "100"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"--scale" in done.stdout
    done.stdout.decode(encoding)


@pytest.mark.parametrize("answer", [0, 1])
def test_windows_is_asked_for_what_its_processor_can(
    monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    class Windll:
        class kernel32:  # noqa: N801
            @staticmethod
            def IsProcessorFeaturePresent(number: int) -> int:  # noqa: N802
                assert number == 41
                return answer

    monkeypatch.setattr(ctypes, "windll", Windll, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert cpu.has_avx512() is bool(answer)


def test_a_system_that_does_not_say_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "other")
    monkeypatch.setattr(cpu, "FACTS", tmp_path / "absent")
    assert not cpu.has_avx512()
