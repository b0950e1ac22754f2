"""Folders: what is found, where it goes, what is done once only, and what survives a crash."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ABORTED, KILL, KILLED, Run
from folders import contents, lines, save
from numpy.typing import NDArray
from PIL import Image

from bnnup.folders import batch, writer
from bnnup.folders.enlarger import Enlarger
from bnnup.folders.ledger import NAME, open_ledger
from bnnup.folders.networks import Networks
from bnnup.folders.reader import Reader
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import find_tasks
from bnnup.model.file import Model
from bnnup.pictures import read
from bnnup.system.locks import take
from bnnup.upscale import passes
from bnnup.upscale.size import Size
from bnnup.upscale.upscaler import Upscaler

posix = pytest.mark.skipif(os.name == "nt", reason="limits and links are different there")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of six pictures in a tree, and of what is none."""
    album = tmp_path / "album"
    for seed, name in enumerate(
        ["a.jpg", "a.png", "b.webp", "日本/ü.tif", "日本/deep/c.bmp", "x.png/inside.gif"]
    ):
        save(album / name, seed)
    (album / "notes.txt").write_text("no picture")
    (album / "film.mp4").write_bytes(b"no picture either")
    save(album / ".thumbnails" / "a.jpg")
    save(album / ".hidden.jpg")
    return album


# What is found, and where it goes


def targets(folder: Path, **options: object) -> list[str]:
    out = folder / "out"
    tasks = find_tasks(folder, out, **options)  # type: ignore[arg-type]
    return [
        task.target.relative_to(out).as_posix() for task in tasks if isinstance(task.target, Path)
    ]


def test_the_tree_is_kept(album: Path) -> None:
    assert targets(album) == [
        "a.jpg",
        "a.png",
        "b.webp",
        "x.png/inside.gif",
        "日本/ü.tif",
        "日本/deep/c.bmp",
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"include": ["*.jpg", "*.tif"]}, ["a.jpg", "日本/ü.tif"]),
        ({"exclude": ["日本/*"]}, ["a.jpg", "a.png", "b.webp", "x.png/inside.gif"]),
        ({"include": ["a.*"], "exclude": ["*.png"]}, ["a.jpg"]),
        ({"include": ["*.xyz"]}, []),
    ],
    ids=str,
)
def test_patterns(album: Path, options: dict[str, list[str]], found: list[str]) -> None:
    assert targets(album, **options) == found


def test_names_that_would_collide_are_kept_apart(tmp_path: Path) -> None:
    for name in "a.jpg", "a.png", "a.webp", "a.jpg.png", "B.jpg", "b.bmp", "c.jpg":
        (tmp_path / name).touch()
    assert dict(zip(targets(tmp_path), targets(tmp_path, format_name="PNG"), strict=True)) == {
        "B.jpg": "B.jpg.png",
        "a.jpg": "a.jpg_.png",
        "a.jpg.png": "a.jpg.png",
        "a.png": "a.png",
        "a.webp": "a.webp.png",
        "b.bmp": "b.bmp.png",
        "c.jpg": "c.png",
    }


def test_formats_that_are_only_read_become_png(tmp_path: Path) -> None:
    for name in "a.psd", "b.jpeg":
        (tmp_path / name).touch()
    assert targets(tmp_path) == ["a.png", "b.jpeg"]


def test_results_inside_the_folder_are_not_its_pictures(run: Run, album: Path, tiny: Path) -> None:
    for _ in range(2):
        assert run("upscale", album, "-o", album / "big", "-m", tiny).code == 0
    assert len(contents(album / "big")) == 6


# Running


def test_a_folder(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    done = run("upscale", album, "-o", out, "-m", tiny)
    assert done.code == 0
    assert done.out == ""
    assert done.err == f"{out}: 6 done\n"
    for name in contents(out):
        with Image.open(out / name) as read, Image.open(album / name) as original:
            assert read.size == (24, 18)
            assert read.format == original.format
    single = album.parent / "single.png"
    run("upscale", album / "a.png", "-o", single, "-m", tiny)
    assert (out / "a.png").read_bytes() == single.read_bytes()


def test_results_lie_beside_the_folder(run: Run, album: Path, tiny: Path) -> None:
    assert run("upscale", album, "-m", tiny).code == 0
    assert len(contents(album.parent / "album_x2")) == 6


def test_json_is_a_line_a_picture(run: Run, album: Path, tiny: Path) -> None:
    (album / "bad.png").write_bytes(b"bad")
    out = album.parent / "big"
    done = run("upscale", album, "-o", out, "-m", tiny, "--json")
    assert done.code == 1
    rows = {Path(str(row["input"])).name: row for row in lines(done.out)}
    assert len(rows) == 7
    assert rows["a.jpg"]["status"] == "done"
    assert rows["a.jpg"]["output"] == str(out / "a.jpg")
    assert (rows["a.jpg"]["width"], rows["a.jpg"]["height"]) == (24, 18)
    assert rows["bad.png"]["status"] == "failed"
    assert "not a picture" in str(rows["bad.png"]["error"])
    again = lines(run("upscale", album, "-o", out, "-m", tiny, "--json").out)
    assert [row["status"] for row in again].count("skipped") == 6


def test_dry_run_writes_nothing(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    done = run("upscale", album, "-o", out, "-m", tiny, "--dry-run", "--width", "36")
    assert done.code == 0
    assert not out.exists()
    assert f"{album / 'a.jpg'} -> {out / 'a.jpg'} 36×27, about" in done.out
    assert done.out.count("\n") == 6
    assert "6 planned" in done.err


def test_dry_run_knows_what_is_finished(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    run("upscale", album, "-o", out, "-m", tiny)
    save(album / "new.png")
    before = (out / NAME).read_bytes()
    rows = lines(run("upscale", album, "-o", out, "-m", tiny, "--dry-run", "--json").out)
    assert {Path(str(r["input"])).name for r in rows if r["status"] == "planned"} == {"new.png"}
    assert (out / NAME).read_bytes() == before


def test_no_pictures(run: Run, tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "in").mkdir()
    done = run("upscale", tmp_path / "in", "-m", tiny)
    assert done.code == 0
    assert "no pictures" in done.err


def test_without_a_network_nothing_is_touched(run: Run, album: Path) -> None:
    done = run("upscale", album, "-m", "absent.safetensors")
    assert done.code == 1
    assert "no such model file" in done.err
    assert os.listdir(album.parent) == ["album"]


@posix
def test_an_entry_with_a_fault_is_the_only_one_that_fails(
    run: Run, album: Path, tiny: Path
) -> None:
    """Links that lead in circles, through a file, or nowhere with a name too long."""
    (album / "loop.png").symlink_to("loop.png")
    (album / "through.png").symlink_to("a.jpg/nothing.png")
    (album / "long.png").symlink_to("n" * 255 + "/" * 2 + "m" * 300)
    done = run("upscale", album, "-m", tiny, "--json")
    reports = [json.loads(line) for line in done.out.splitlines()]
    statuses = {Path(report["input"]).name: report["status"] for report in reports}
    assert done.code == 1
    assert statuses.pop("loop.png") == "failed"
    assert "failed" not in {statuses[name] for name in statuses if not name.endswith(".png")}
    assert list(statuses.values()).count("done") == 6


def test_settings_at_their_defaults_are_those_of_earlier_records() -> None:
    """Anything else would do every folder anew that an earlier version has done."""
    settings = Settings(Size(factor=2.0), "a model that nobody has")
    assert settings.models() == {}
    assert settings.fingerprint() == "8157c499dcbd38b5e8e4cd8afe37f1a1"


def test_stages_overlap(
    album: Path, models: dict[int, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stage takes a while, during which others work, too."""
    busy: set[str] = set()
    together: set[tuple[str, ...]] = set()

    def slow(module: object, name: str, stage: str) -> None:
        quick = getattr(module, name)

        def slowly(*arguments: object, **options: object) -> object:
            busy.add(stage)
            time.sleep(0.1)
            together.add(tuple(sorted(busy)))
            try:
                return quick(*arguments, **options)
            finally:
                busy.discard(stage)

        monkeypatch.setattr(module, name, slowly)

    slow(read, "decode", "decode")
    slow(passes, "enlarge", "enlarge")
    slow(writer, "_encode", "encode")
    settings, machine = Settings(Size(factor=2.0), "tiny"), Machine()
    networks = Networks(settings, machine, lambda name, scale: Upscaler(models[scale]))
    runner = batch.Batch(Reader(settings, machine), Enlarger(networks))
    out = album.parent / "big"
    out.mkdir()
    with open_ledger(out) as ledger:
        works = list(runner.run(find_tasks(album, out), ledger))
    assert [work.status for work in works] == ["done"] * 6
    overlapping = {stage for stages in together if len(stages) > 1 for stage in stages}
    assert overlapping == {"decode", "enlarge", "encode"}


def test_a_picture_that_fails_half_way(
    run: Run, album: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder has begun by then; the next pictures are none the worse."""
    enlarge = passes.enlarge

    def failing(made: Iterator[NDArray[np.uint8]], *arguments: Any) -> Iterator[object]:
        frames = list(made)
        for number, strip in enumerate(enlarge(frames, *arguments)):
            yield strip
            if number == 1 and len(frames[0]) == 90:
                raise MemoryError

    monkeypatch.setattr(passes, "enlarge", failing)
    save(album / "a.png", shape=(90, 12, 3))
    out = album.parent / "big"
    done = run("upscale", album, "-o", out, "-m", tiny, "--tile", 10)
    assert done.code == 1
    assert "5 done, 1 failed" in done.err
    assert "does not fit into memory" in done.err
    assert sorted(contents(out)) == sorted({*contents(album)} & {*targets(album)} - {"a.png"})


# What is done once only


def times(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in contents(folder)}


def test_finished_pictures_are_skipped(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    run("upscale", album, "-o", out, "-m", tiny)
    before = times(out)
    done = run("upscale", album, "-o", out, "-m", tiny)
    assert (done.code, done.err) == (0, f"{out}: 6 skipped\n")
    assert times(out) == before
    assert run("upscale", album, "-o", out, "-m", tiny, "--force").err == f"{out}: 6 done\n"


def test_what_has_changed_is_done_again(run: Run, album: Path, tiny: Path) -> None:
    """By content and settings: neither name, nor size, nor time."""
    out = album.parent / "big"
    run("upscale", album, "-o", out, "-m", tiny)
    stat = (album / "日本/deep/c.bmp").stat()
    save(album / "日本/deep/c.bmp", seed=99)
    os.utime(album / "日本/deep/c.bmp", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (out / "a.png").write_bytes(b"cut")
    (out / "a.jpg").unlink()
    os.utime(album / "b.webp")
    done = run("upscale", album, "-o", out, "-m", tiny)
    assert done.err == f"{out}: 3 done, 3 skipped\n"


@pytest.mark.parametrize(
    "options", [["--width", 30], ["--quality", 50], ["--strip"], ["--alpha", "bicubic"]], ids=str
)
def test_other_settings_are_another_job(
    run: Run, album: Path, tiny: Path, options: list[object]
) -> None:
    model = ["-m", tiny, "--include", "a.jpg"]
    run("upscale", album, "-o", album.parent / "big", *model)
    extra = ["-m", tiny.with_name("tiny-x3.safetensors")] if "--width" in options else []
    done = run("upscale", album, "-o", album.parent / "big", *model, *options, *extra)
    assert done.err.endswith("1 done\n")


def test_speed_is_no_setting(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    run("upscale", album, "-o", out, "-m", tiny)
    options = ["--tile", 5, "--memory", 50, "--threads", 1]
    assert run("upscale", album, "-o", out, "-m", tiny, *options).err.endswith("6 skipped\n")


def test_files_of_others_are_not_overwritten(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    out.mkdir()
    (out / "a.jpg").write_bytes(b"precious")
    done = run("upscale", album, "-o", out, "-m", tiny)
    assert done.code == 1
    assert "5 done, 1 failed" in done.err
    assert done.err.count("--force") == 2  # when it happened, and in the list at the end
    assert (out / "a.jpg").read_bytes() == b"precious"
    assert run("upscale", album, "-o", out, "-m", tiny, "--force").code == 0


def test_results_are_never_inputs(run: Run, tmp_path: Path, tiny: Path) -> None:
    """Where the folder of results is that of the pictures."""
    folder = tmp_path / "album"
    save(folder / "a.png")
    before = Image.open(folder / "a.png").size
    large = (2 * before[0], 2 * before[1])
    assert run("upscale", folder, "-o", folder, "-m", tiny, "--force").code == 0
    assert Image.open(folder / "a.png").size == large
    assert run("upscale", folder, "-o", folder, "-m", tiny).err.endswith("1 skipped\n")
    assert Image.open(folder / "a.png").size == large
    save(folder / "b.png", 1)  # a new picture is none of them
    done = run("upscale", folder, "-o", folder, "-m", tiny)
    assert "overwrite" in done.err
    assert Image.open(folder / "a.png").size == large


def test_results_beside_their_sources_name_nothing(run: Run, tmp_path: Path, tiny: Path) -> None:
    """Of two sources that would share a name, one is named apart; a result is no source."""
    folder = tmp_path / "album"
    save(folder / "a.png")
    command = ["upscale", folder, "-o", folder, "-m", tiny, "--format", "webp"]
    for _ in range(2):
        assert run(*command).code == 0
        assert {path.name for path in folder.iterdir()} == {"a.png", "a.webp", NAME}


HOSTILE = [
    "[" * 100_000,
    '{"a":' * 50_000,
    '{"output": "a.jpg", "key": "1", "bytes": 1e999}',
    '{"output": "a.jpg", "key": "1", "bytes": 18446744073709551616}',
    '{"output": "a.jpg", "key": "1", "bytes": -7}',
    '{"output": "a.jpg", "key": "-1", "bytes": 7}',
    '{"output": "a.jpg", "key": "' + "f" * 40 + '", "bytes": 7}',
    '{"output": "a.jpg", "key": 1, "bytes": 7}',
    '{"output": ["a.jpg"], "key": "1", "bytes": 7}',
    '{"output": {}}',
    "null",
    "",
]


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: line[:50])
def test_lines_of_others_in_the_record_say_nothing(
    run: Run, album: Path, tiny: Path, line: str
) -> None:
    out = album.parent / "big"
    command = ["upscale", album, "-o", out, "-m", tiny]
    run(*command)
    with (out / NAME).open("a") as record:
        record.write(line + "\n")
    again = run(*command)
    assert (again.code, again.err) == (0, f"{out}: 6 skipped\n")


@pytest.mark.usefixtures("links")
def test_a_record_that_is_a_link_is_not_written_to(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    out.mkdir()
    goal = album.parent / "goal"
    goal.write_text("precious")
    (out / NAME).symlink_to(goal)
    done = run("upscale", album, "-o", out, "-m", tiny)
    assert (done.code, done.out) == (1, "")
    assert f"{NAME} is a link; remove it" in done.err
    assert goal.read_text() == "precious"
    assert os.listdir(out) == [NAME]


@pytest.mark.usefixtures("links")
def test_a_linked_folder_of_results_keeps_what_others_made(
    run: Run, album: Path, tiny: Path
) -> None:
    """Links are followed: to another disk, say; what the record does not know is left alone."""
    save(album / "sub" / "new.png")
    save(album / "sub" / "old.png")
    out, elsewhere = album.parent / "big", album.parent / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (elsewhere / "old.png").write_bytes(b"precious")
    (out / "sub").symlink_to(elsewhere)
    done = run("upscale", album, "-o", out, "-m", tiny)
    assert done.code == 1
    assert "old.png exists, and this job did not make it" in done.err
    assert (elsewhere / "old.png").read_bytes() == b"precious"
    assert Image.open(elsewhere / "new.png").size[0] > 0
    assert (out / "sub").is_symlink()


def test_one_process_at_a_time(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    out.mkdir()
    with (out / NAME).open("ab") as held:
        assert take(held)
        done = run("upscale", album, "-o", out, "-m", tiny)
    assert done.code == 1
    assert "another bnnup" in done.err


def test_damaged_record(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    run("upscale", album, "-o", out, "-m", tiny)
    expected = contents(out)
    text = (out / NAME).read_text()
    (out / NAME).write_text('[]\n1\n{"output": 3}\n' + text[:-30])
    done = run("upscale", album, "-o", out, "-m", tiny)
    assert done.err.endswith("1 done, 5 skipped\n")
    assert contents(out) == expected
    assert run("upscale", album, "-o", out, "-m", tiny).err.endswith("6 skipped\n")


# Crashes


@pytest.mark.skipif(bool(sys.flags.ignore_environment), reason="this Python heeds no PYTHONPATH")
def test_what_ended_a_run_comes_last_and_alone(
    run: Run, album: Path, tiny: Path, tmp_path: Path
) -> None:
    """A crash in one decoder meets no other picture, at no later run."""
    out = album.parent / "big"
    # A stand-in for a decoder with a fault, until the last run; a.jpg is the only JPEG.
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os\n"
        "from PIL.JpegImagePlugin import JpegImageFile\n"
        "original = JpegImageFile._open\n"
        "def faulty(self):\n"
        f"    if os.path.exists({str(site / 'faulty')!r}):\n"
        "        os.abort()\n"
        "    original(self)\n"
        "JpegImageFile._open = faulty\n"
    )
    (site / "faulty").touch()
    command = [
        sys.executable,
        "-m",
        "bnnup",
        "upscale",
        str(album),
        "-o",
        str(out),
        "-m",
        str(tiny),
    ]

    def start() -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(site)}
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )

    assert start().returncode == ABORTED
    done = start()
    assert done.returncode == 1, done.stderr
    assert "5 done, 1 failed" in done.stderr
    how = f"exit code {ABORTED}" if ABORTED > 0 else "SIGABRT"
    assert f"a.jpg ends the process that works on it ({how})" in done.stderr
    assert "5 skipped, 1 failed" in start().stderr
    (site / "faulty").unlink()
    last = start()
    assert (last.returncode, last.stderr.count("so it was done last")) == (0, 1)
    undisturbed = album.parent / "undisturbed"
    run("upscale", album, "-o", undisturbed, "-m", tiny)
    assert contents(out) == contents(undisturbed)


SCRIPT = """
import os, sys
from bnnup import cli
from bnnup.{folder} import {module}
original, left = {module}.{name}, [{calls}]
def killed(*arguments, **options):
    result = None if {before} else original(*arguments, **options)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), {signal})
    return original(*arguments, **options) if {before} else result
{module}.{name} = killed
cli.main()
"""


@pytest.mark.parametrize(
    ("folder", "module", "name", "calls", "before"),
    [
        (
            "pictures",
            "write",
            "encode",
            9,
            False,
        ),  # twice a picture for the check; written, without a name
        ("folders", "ledger", "Ledger.finish", 3, True),  # in place, but not on record
        ("folders", "ledger", "Ledger.finish", 5, False),
        ("folders", "ledger", "_File.add", 1, False),
    ],
)
def test_killed_in_the_middle(
    run: Run, album: Path, tiny: Path, folder: str, module: str, name: str, calls: int, before: bool
) -> None:
    out, undisturbed = album.parent / "big", album.parent / "undisturbed"
    run("upscale", album, "-o", undisturbed, "-m", tiny)
    script = SCRIPT.format(
        folder=folder, module=module, name=name, calls=calls, before=before, signal=int(KILL)
    )
    bnnup = [sys.executable, "-P", "-c", script]
    command: list[str | Path] = [*bnnup, "upscale", album, "-o", out, "-m", tiny]
    assert subprocess.run(command, capture_output=True).returncode == KILLED
    finished = [name for name in contents(out) if not name.endswith(".tmp")]
    assert len(finished) < 6
    for path in finished:
        assert (out / path).read_bytes() == (undisturbed / path).read_bytes()
    done = run("upscale", album, "-o", out, "-m", tiny)
    assert done.code == 0
    assert contents(out) == contents(undisturbed)


def test_interrupted_by_hand(album: Path, tiny: Path) -> None:
    script = (
        "import signal\n"
        "from bnnup import cli\n"
        "from bnnup.folders import ledger\n"
        "finish = ledger.Ledger.finish\n"
        "def interrupt(*arguments, **options):\n"
        "    finish(*arguments, **options)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "ledger.Ledger.finish = interrupt\n"
        "cli.main()\n"
    )
    out = album.parent / "big"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "upscale", album, "-o", out, "-m", tiny],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert list(contents(out)) == ["a.jpg"]


@posix
def test_full_disk(run: Run, album: Path, tiny: Path) -> None:
    """A limit on the size of files stands for a disk that is full: large results fail."""
    import resource

    save(album / "large.png", shape=(200, 200, 3))
    out = album.parent / "big"
    script = "import bnnup.cli; bnnup.cli.main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "upscale", album, "-o", out, "-m", tiny],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "6 done, 1 failed" in done.stderr
    assert "cannot write" in done.stderr
    assert "large.png" not in contents(out)
    assert len(contents(out)) == 6
    assert run("upscale", album, "-o", out, "-m", tiny).err.endswith("1 done, 6 skipped\n")


# Places that cannot be read or written


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_files_and_folders_without_permission(run: Run, album: Path, tiny: Path) -> None:
    (album / "a.jpg").chmod(0)
    (album / "日本").chmod(0)
    done = run("upscale", album, "-o", album.parent / "big", "-m", tiny)
    (album / "日本").chmod(0o700)
    assert done.code == 1
    assert "3 done, 2 failed" in done.err
    assert done.err.count("Permission denied") == 4


def test_a_result_that_is_a_folder(run: Run, album: Path, tiny: Path) -> None:
    out = album.parent / "big"
    (out / "a.jpg").mkdir(parents=True)
    done = run("upscale", album, "-o", out, "-m", tiny, "--force")
    assert done.code == 1
    assert "5 done, 1 failed" in done.err
    assert not [name for name in contents(out) if name.endswith(".tmp")]


def test_output_that_is_a_file(run: Run, album: Path, tiny: Path) -> None:
    (album.parent / "big").write_bytes(b"precious")
    done = run("upscale", album, "-o", album.parent / "big", "-m", tiny)
    assert done.code == 1
    assert done.err.startswith("error: cannot write to the folder")
    assert (album.parent / "big").read_bytes() == b"precious"


def test_the_same_folder_moved_is_still_finished(run: Run, album: Path, tiny: Path) -> None:
    run("upscale", album, "-o", album.parent / "big", "-m", tiny)
    shutil.move(album.parent / "big", album.parent / "elsewhere")
    done = run("upscale", album, "-o", album.parent / "elsewhere", "-m", tiny)
    assert done.err.endswith("6 skipped\n")
