"""The command line: what it writes, what it prints where, and how it says no."""

import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import Result, Run
from PIL import Image

from bnnup import __version__, cli
from bnnup.cli import progress

HEAVY = ("torch", "numpy", "PIL", "huggingface_hub", "safetensors", "rich.progress")


def test_starting_loads_nothing_heavy() -> None:
    script = f"import sys, bnnup.cli; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def every_command() -> Iterator[list[str]]:
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        yield [name]
        yield from ([name, inner] for inner in getattr(command, "commands", {}))


@pytest.mark.parametrize("command", [[], *every_command()], ids=" ".join)
def test_help(run: Run, command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.code == 0
    assert "Usage" in done.out
    assert done.err == ""


def test_version(run: Run) -> None:
    assert run("--version") == Result(0, f"bnnup {__version__}\n", "")


def test_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bnnup", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"bnnup {__version__}\n"


# bnnup upscale


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_result_lies_beside_the_input(
    run: Run, folder: Path, model_files: Path, scale: int
) -> None:
    model = model_files / f"tiny-x{scale}.safetensors"
    done = run("upscale", folder / "photo.jpg", "-s", scale, "-m", model)
    assert done.code == 0
    assert done.out == ""
    assert f"{12 * scale}×{9 * scale}" in done.err
    assert sorted(os.listdir(folder)) == ["photo.jpg", f"photo_x{scale}.jpg"]
    with Image.open(folder / f"photo_x{scale}.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (12 * scale, 9 * scale))


def test_output_names_the_format(run: Run, folder: Path, tiny: Path) -> None:
    target = folder / "größer 大.PNG"
    assert run("upscale", folder / "photo.jpg", "-m", tiny, "-o", target).code == 0
    with Image.open(target) as image:
        assert (image.format, image.size) == ("PNG", (24, 18))


def test_tile_does_not_change_the_result(run: Run, folder: Path, tiny: Path) -> None:
    for name, options in ("whole.png", []), ("tiled.png", ["--tile", 5]):
        options = [*options, "-m", tiny, "-o", folder / name]
        assert run("upscale", folder / "photo.jpg", *options).code == 0
    with Image.open(folder / "whole.png") as whole, Image.open(folder / "tiled.png") as tiled:
        np.testing.assert_array_equal(np.asarray(tiled), np.asarray(whole))


def test_json_is_one_object_on_standard_output(run: Run, folder: Path, tiny: Path) -> None:
    done = run("upscale", folder / "photo.jpg", "-m", tiny, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
    report = json.loads(done.out)
    assert list(report) == [
        "input",
        "status",
        "output",
        "model",
        "reason",
        "backend",
        "scale",
        "width",
        "height",
        "model_bytes",
        "fp32_bytes",
        "parameters",
        "binary_macs",
        "full_macs",
        "ops",
        "seconds",
        "megapixels_per_second",
    ]
    assert report["output"] == str(folder / "photo_x2.jpg")
    assert (report["scale"], report["width"], report["height"]) == (2, 24, 18)
    assert report["model_bytes"] == tiny.stat().st_size
    # 1 block of 8 channels: two layers of 8 · 8 · 9 signs; head 8 · 9, tail 8 · 4 · 9.
    assert report["binary_macs"] == 2 * 576 * 12 * 9
    assert report["full_macs"] == (72 + 288) * 12 * 9
    assert report["ops"] == (1152 // 64 + 360) * 12 * 9
    assert report["fp32_bytes"] == 4 * report["parameters"]
    assert report["seconds"] > 0


def test_alpha_counts_as_work(run: Run, folder: Path, tiny: Path) -> None:
    """It goes through the network as luma does."""
    for mode in ("RGB", "RGBA", "L", "LA"):
        Image.new(mode, (12, 9)).save(folder / f"{mode}.png")
    macs = {
        mode: json.loads(run("upscale", folder / f"{mode}.png", "-m", tiny, "--json").out)["ops"]
        for mode in ("RGB", "RGBA", "L", "LA")
    }
    assert macs["L"] == macs["RGB"]
    assert macs["LA"] == macs["RGBA"] == 2 * macs["RGB"]


def test_existing_file_is_not_overwritten(run: Run, folder: Path, tiny: Path) -> None:
    target = folder / "photo_x2.jpg"
    target.write_bytes(b"precious")
    done = run("upscale", folder / "photo.jpg", "-m", tiny)
    assert done.code == 1
    assert "--force" in done.err
    assert target.read_bytes() == b"precious"
    assert run("upscale", folder / "photo.jpg", "-m", tiny, "--force").code == 0
    with Image.open(target) as image:
        assert image.size == (24, 18)


def test_input_is_only_overwritten_by_force(run: Run, folder: Path, tiny: Path) -> None:
    source = folder / "photo.jpg"
    before = source.read_bytes()
    assert run("upscale", source, "-m", tiny, "-o", source).code == 1
    assert source.read_bytes() == before
    assert run("upscale", source, "-m", tiny, "-o", source, "--force").code == 0
    with Image.open(source) as image:
        assert image.size == (24, 18)


@pytest.mark.parametrize(
    "arguments",
    [
        ["upscale"],
        ["upscale", "absent.jpg"],
        ["upscale", "photo.jpg", "-s", "1"],
        ["upscale", "photo.jpg", "-s", "65"],
        ["upscale", "photo.jpg", "-s", "nan"],
        ["upscale", "photo.jpg", "-s", "2", "--width", "100"],
        ["upscale", "photo.jpg", "--fit", "100"],
        ["upscale", "photo.jpg", "--fit", "0x100"],
        ["upscale", "photo.jpg", "--megapixels", "0"],
        ["upscale", "photo.jpg", "--quality", "101"],
        ["upscale", "photo.jpg", "--alpha", "none"],
        ["upscale", "photo.jpg", "-o", "-", "--json"],
        ["upscale", "-", "--json"],
        ["upscale", ".", "-o", "-"],
        ["upscale", "photo.jpg", "--tile", "0"],
        ["upscale", "photo.jpg", "--sharpen"],
        ["enhance", "photo.jpg"],
        ["benchmark"],
        ["benchmark", "--hr", "absent"],
        [],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_wrong_usage_is_exit_code_2(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(folder)
    assert run(*arguments).code == 2
    assert os.listdir(folder) == ["photo.jpg"]


MISTAKES: dict[str, tuple[str, list[str]]] = {
    "unknown-model": ("known: hybrid-large", ["photo.jpg", "-m", "esrgan"]),
    "model-file-missing": ("no such model file", ["photo.jpg", "-m", "absent.safetensors"]),
    "model-name-endless": ("no model", ["photo.jpg", "-m", "m" * 5000]),
    "model-is-a-folder": ("no model", ["photo.jpg", "-m", "folder"]),
    "model-broken": ("broken.safetensors", ["photo.jpg", "-m", "broken.safetensors"]),
    "model-of-another-scale": ("enlarges ×2, not ×3", ["photo.jpg", "-m", "TINY", "-s", "3"]),
    "picture-broken": ("broken.jpg", ["broken.jpg", "-m", "TINY"]),
    "picture-cut": ("cut.jpg", ["cut.jpg", "-m", "TINY"]),
    "ending-unknown": (".xyz", ["photo.jpg", "-m", "TINY", "-o", "out.xyz"]),
    "ending-missing": ("ending", ["photo.jpg", "-m", "TINY", "-o", "out"]),
    "input-is-no-picture": ("not a picture", ["notes.txt", "-m", "TINY"]),
    "model-name-near": ("did you mean edsr-small?", ["photo.jpg", "-m", "edsr_small"]),
    "folder-missing": ("no folder", ["photo.jpg", "-m", "TINY", "-o", "absent/out.jpg"]),
    "format-near": ("did you mean jpeg?", ["photo.jpg", "-m", "TINY", "--format", "jpegg"]),
    "output-name-endless": ("out", ["photo.jpg", "-m", "TINY", "-o", f"{'out' * 100}.jpg"]),
    "alpha-to-jpeg": ("transparency", ["alpha.png", "-m", "TINY", "-o", "out.jpg"]),
    "format-unknown": ("'xyz'", ["photo.jpg", "-m", "TINY", "--format", "xyz"]),
    "never-lossless": ("never lossless", ["photo.jpg", "-m", "TINY", "--lossless"]),
    "too-large": ("--max-megapixels", ["huge.png", "-m", "TINY", "--max-megapixels", "0.001"]),
    "much-too-wide": ("limit is 64", ["photo.jpg", "-m", "TINY", "--width", "100000"]),
    "no-originals": ("no pictures", ["--hr", "folder", "-m", "TINY"]),
}


@pytest.mark.parametrize(("reason", "arguments"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_one_line_and_exit_code_1(
    run: Run,
    folder: Path,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(folder)
    (folder / "folder").mkdir()
    (folder / "folder.jpg").mkdir()
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "broken.safetensors").write_bytes(tiny.read_bytes()[:-1])
    (folder / "cut.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:-200])
    (folder / "notes.txt").write_text("no picture at all")
    Image.new("RGBA", (4, 4)).save(folder / "alpha.png")
    Image.new("L", (40, 40)).save(folder / "huge.png")
    before = sorted(folder.rglob("*"))
    command = "benchmark" if "--hr" in arguments else "upscale"
    for as_json in [], ["--json"]:
        done = run(command, *(tiny if a == "TINY" else a for a in arguments), *as_json)
        assert done.code == 1
        if command == "upscale" and as_json:
            report = json.loads(done.out)
            assert (report["status"], report["input"]) == ("failed", arguments[0])
            assert reason in report["error"]
        elif command == "upscale" or as_json:
            assert done.out == ""
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert reason in done.err
        assert sorted(folder.rglob("*")) == before


# What people type


def test_several_pictures(run: Run, folder: Path, tiny: Path) -> None:
    for name in "a.png", "b.PNG":
        Image.new("RGB", (7, 5)).save(folder / name, "PNG")
    done = run("upscale", folder / "a.png", folder / "b.PNG", folder / "photo.jpg", "-m", tiny)
    assert done.code == 0, done.err
    for name in "a_x2.png", "b_x2.PNG", "photo_x2.jpg":
        with Image.open(folder / name) as image:
            assert image.size in ((14, 10), (24, 18))


def test_one_of_several_that_is_broken(run: Run, folder: Path, tiny: Path) -> None:
    (folder / "bad.png").write_bytes(b"no picture")
    files = [folder / "bad.png", folder / "photo.jpg"]
    done = run("upscale", *files, "-m", tiny, "-o", f"{folder}/big/", "--json")
    assert done.code == 1
    assert [json.loads(line)["status"] for line in done.out.splitlines()] == ["failed", "done"]
    assert os.listdir(folder / "big") == ["photo.jpg"]
    assert "bad.png" in done.err


def test_several_pictures_need_a_folder(run: Run, folder: Path, tiny: Path) -> None:
    photo = folder / "photo.jpg"
    assert run("upscale", photo, photo, "-m", tiny, "-o", folder / "out.jpg").code == 2
    assert "two results" in run("upscale", photo, photo, "-m", tiny).err
    assert os.listdir(folder) == ["photo.jpg"]


@pytest.mark.parametrize("exists", [False, True])
def test_into_a_folder(run: Run, folder: Path, tiny: Path, exists: bool) -> None:
    if exists:
        (folder / "big").mkdir()
    output = folder / "big" if exists else f"{folder / 'big'}/"
    assert run("upscale", folder / "photo.jpg", "-m", tiny, "-o", output).code == 0
    with Image.open(folder / "big" / "photo.jpg") as image:
        assert image.size == (24, 18)


def test_into_its_own_folder(run: Run, folder: Path, tiny: Path) -> None:
    assert run("upscale", folder / "photo.jpg", "-m", tiny, "-o", folder).code == 0
    assert sorted(os.listdir(folder)) == ["photo.jpg", "photo_x2.jpg"]


@pytest.mark.parametrize("name", ["photo", "photo.jpeg2", "IMG.0815"])
def test_names_that_do_not_tell_the_format(run: Run, folder: Path, tiny: Path, name: str) -> None:
    (folder / "photo.jpg").rename(folder / name)
    assert run("upscale", folder / name, "-m", tiny).code == 0
    with Image.open(folder / f"{Path(name).stem}_x2.jpg") as image:
        assert image.format == "JPEG"


def test_what_is_only_read_becomes_png(run: Run, folder: Path, tiny: Path) -> None:
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 4, 6, 8, 3) + bytes(12)
    (folder / "layers.psd").write_bytes(head + b"\0\0" + bytes(range(72)))
    assert run("upscale", folder / "layers.psd", "-m", tiny).code == 0
    with Image.open(folder / "layers_x2.png") as image:
        assert image.size == (12, 8)


def test_patterns_know_no_capitals(run: Run, folder: Path, tiny: Path) -> None:
    (folder / "photo.jpg").rename(folder / "ONE.JPG")
    Image.new("RGB", (7, 5)).save(folder / "two.png")
    done = run("upscale", folder, "-m", tiny, "-o", folder / "big", "--include", "*.jpg")
    assert done.code == 0
    assert [name for name in os.listdir(folder / "big") if name[0] != "."] == ["ONE.JPG"]


@pytest.mark.parametrize("factor", ["2x", "x2", "2X", "×2", "2.0"])
def test_ways_to_say_twice(run: Run, folder: Path, tiny: Path, factor: str) -> None:
    assert run("upscale", folder / "photo.jpg", "-m", tiny, "-s", factor).code == 0
    assert (folder / "photo_x2.jpg").exists()


def test_a_folder_of_other_things_is_an_error(run: Run, folder: Path, tiny: Path) -> None:
    (folder / "photo.jpg").rename(folder / "photo.raw")
    done = run("upscale", folder, "-m", tiny, "-o", folder / "big")
    assert done.code == 1
    assert "no pictures in" in done.err
    assert ".heic" in done.err


def test_the_root_needs_a_name_for_its_results(run: Run) -> None:
    done = run("upscale", "/", "-m", "edsr")
    assert done.code == 2
    assert "-o" in done.err


def test_the_report_says_what_and_where_and_more_on_demand(
    run: Run, folder: Path, tiny: Path
) -> None:
    done = run("upscale", folder / "photo.jpg", "-m", tiny)
    assert re.fullmatch(r".*photo_x2\.jpg: 24×18, \d+ kB, in \d+\.\d s\n", done.err)
    done = run("upscale", folder / "photo.jpg", "-m", tiny, "--force", "--verbose")
    assert "multiply-adds" in done.err
    done = run("upscale", folder / "photo.jpg", "-m", tiny, "--width", 4, "--verbose")
    assert "reduced, without a network" in done.err
    assert "(none)" not in done.err


@pytest.mark.skipif(os.name == "nt", reason="shells close streams otherwise there")
@pytest.mark.parametrize(
    ("closed", "code"),
    [(">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), ("--json >&-", 1), ("-o - >&-", 1)],
)
def test_closed_standard_streams(folder: Path, tiny: Path, closed: str, code: int) -> None:
    program = f"{sys.executable} -m bnnup upscale photo.jpg -m {tiny} --force {closed}"
    done = subprocess.run(program, shell=True, cwd=folder, stderr=subprocess.PIPE)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


def test_folder_named_like_a_model_is_not_in_its_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnnup.model.find import find_model

    monkeypatch.chdir(folder)
    expected = find_model("edsr", 2)
    (folder / "edsr").mkdir()
    assert find_model("edsr", 2) == expected
    assert expected.name == "edsr-x2.safetensors"


def test_debugging_shows_the_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bnnup.errors import ModelNotFoundError

    monkeypatch.setenv("BNNUP_DEBUG", "1")
    arguments = ["bnnup", "upscale", str(folder / "photo.jpg"), "-m", "esrgan"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(ModelNotFoundError):
        cli.main()


TOLD = [name for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


@pytest.mark.parametrize("name", TOLD)
def test_told_to_end_it_leaves_nothing(folder: Path, tiny: Path, name: str) -> None:
    number = int(getattr(signal, name))
    script = (
        "import signal, time\n"
        "from bnnup import cli\n"
        "from bnnup.folders import writer\n"
        "encode = writer._encode\n"
        "def halfway(work, strips, file):\n"
        "    file.write(b'half')\n"
        f"    signal.raise_signal({number})\n"
        "    for _ in range(50):\n"
        "        time.sleep(0.1)\n"
        "writer._encode = halfway\n"
        f"signal.signal({number}, signal.SIG_DFL)\n"  # nohup's children ignore SIGHUP
        "cli.main()\n"
    )
    photo = folder / "photo.jpg"
    command: list[str | Path] = [sys.executable, "-P", "-c", script, "upscale", photo, "-m", tiny]
    before = sorted(folder.iterdir())
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 128 + number
    assert sorted(folder.iterdir()) == before


def test_interrupted_is_exit_code_130_and_leaves_nothing(folder: Path, tiny: Path) -> None:
    """The signal comes when the picture is half done."""
    script = (
        "import signal, time\n"
        "from bnnup import cli\n"
        "from bnnup.upscale import upscaler\n"
        "strips = upscaler.Upscaler.strips\n"
        "def interrupted(self, pixels, progress=None):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    time.sleep(1)  # the main thread hears of it before this thread has finished\n"
        "    yield from strips(self, pixels, progress)\n"
        "upscaler.Upscaler.strips = interrupted\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "upscale", folder / "photo.jpg", "-m", tiny],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert os.listdir(folder) == ["photo.jpg"]


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_in_the_middle_of_a_tile(folder: Path, times: int) -> None:
    """The tile would take minutes; a second Ctrl-C meets the threads that end by the first."""
    pytest.importorskip("bnnup._native")
    Image.new("RGB", (3000, 3000)).save(folder / "large.png")
    script = (
        "import signal, time\n"
        "from bnnup import cli\n"
        "from bnnup.backends import engine\n"
        "run = engine.Engine.run\n"
        "def interrupted(self, luma):\n"
        f"    for _ in range({times}):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        time.sleep(0.01)\n"
        "    return run(self, luma)\n"
        "engine.Engine.run = interrupted\n"
        "cli.main()\n"
    )
    options = "-m", "rdn", "-s", "4", "--memory", "9000", "--tile", "3000", "--threads", "2"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "upscale", folder / "large.png", *options],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "BNNUP_KERNEL": "portable"},
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert sorted(os.listdir(folder)) == ["large.png", "photo.jpg"]


# The progress bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("label", ["photo.jpg", "[/bold]", "[red]photo[1].jpg"])
def test_progress_shows_any_name(monkeypatch: pytest.MonkeyPatch, label: str) -> None:
    """Brackets are mark-up to rich, but part of a file's name."""
    monkeypatch.setattr(progress, "MOMENT", -1)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with progress.progress_bar(label, quiet=False) as show:
        show(1, 2)
        show(2, 2)
    written = terminal.getvalue()
    assert label in written
    assert "100%" in written


@pytest.mark.parametrize(("stream", "quiet"), [(Terminal, True), (io.StringIO, False)])
def test_progress_is_silent_where_nobody_watches(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], quiet: bool
) -> None:
    monkeypatch.setattr(progress, "MOMENT", -1)
    monkeypatch.setattr(sys, "stderr", silent := stream())
    with progress.progress_bar("photo.jpg", quiet=quiet) as show:
        show(1, 1)
    assert silent.getvalue() == ""


def test_progress_of_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with progress.watch_pictures(quiet=False, say=pytest.fail) as watcher:
        watcher.total = 3
        watcher.alive(7)
        watcher.within("[b]a.jpg", 1, 2)
        watcher.finished(12.0)
        watcher.finished(0, "[red]b.jpg is broken")
    written = terminal.getvalue()
    for part in "2/3 pictures", "megapixels/s", "7 workers", "[red]b.jpg is broken":
        assert part in written


def test_messages_come_through_without_a_bar() -> None:
    said: list[str] = []
    with progress.watch_pictures(quiet=True, say=said.append) as watcher:
        watcher.within("a.jpg", 1, 2)
        watcher.finished(12.0)
        watcher.finished(0, "b.jpg is broken")
    assert said == ["b.jpg is broken"]


# bnnup benchmark


def test_benchmark_json(run: Run, tmp_path: Path, tiny: Path) -> None:
    for name, size in ("b", (40, 33)), ("a", (35, 48)):
        pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    done = run("benchmark", "--hr", tmp_path, "-m", tiny, "-s", 2, "--json")
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert list(document) == ["model", "scale", "pictures", "mean"]
    assert (document["model"], document["scale"]) == (str(tiny), 2)
    assert [picture["name"] for picture in document["pictures"]] == ["a", "b"]
    scores = ["psnr", "ssim", "bicubic_psnr", "bicubic_ssim"]
    for picture in document["pictures"]:
        assert list(picture) == ["name", *scores]
    for score in scores:
        values = [picture[score] for picture in document["pictures"]]
        assert document["mean"][score] == pytest.approx(sum(values) / 2)


def test_benchmark_prints_a_line_per_picture(run: Run, tmp_path: Path, tiny: Path) -> None:
    Image.new("L", (40, 40), 128).save(tmp_path / "flat.png")
    done = run("benchmark", "--hr", tmp_path, "-m", tiny)
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["picture", "flat", "mean"]


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_of_files_do_not_reach_the_terminal_unescaped(
    run: Run, tmp_path: Path, tiny: Path
) -> None:
    wild = tmp_path / "a\n\x1b[31mb.png"
    wild.write_bytes(b"no picture")
    for name in (wild, tmp_path / "\x1b]0;none\x07.png", tmp_path):
        done = run("upscale", name, "-o", tmp_path / "out", "-m", tiny)
        assert done.code
        assert "\x1b" not in done.err + done.out
        assert "\x07" not in done.err
    assert "a\\n\\x1b[31mb.png" in done.err


def test_threads_beyond_what_the_engine_has_are_a_wrong_option(run: Run, tmp_path: Path) -> None:
    done = run("upscale", "in.png", "-o", tmp_path / "out.png", "--threads", 257)
    assert done.code == 2
    assert "256" in done.err
