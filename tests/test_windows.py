"""What Windows does otherwise, as far as it can be played here: names, open files, consoles."""

import ctypes
import os
import subprocess
import sys
import warnings
from pathlib import Path, PureWindowsPath

import pytest

from bnnup.errors import MediaError
from bnnup.system import cpu, files
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
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files, "PAUSE", 0.001)


@pytest.mark.usefixtures("windows")
def test_a_result_with_a_devices_name_is_refused_there(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"nul\.png") as caught:
        check_writable(tmp_path / "nul.png", force=True)
    assert caught.value.hint == "output"


@pytest.mark.skipif(os.name == "nt", reason="it is a name elsewhere")
def test_elsewhere_it_is_a_name_like_others(tmp_path: Path) -> None:
    check_writable(tmp_path / "nul.png", force=False)


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
    with pytest.raises(MediaError, match="Permission denied"), writing(path) as file:
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
