"""Builds the page: the engine as WebAssembly, the models and the static files, into one folder.

``python web/build.py site/`` needs the compiler in the package ``ziglang``, nothing else. With
``--tests`` it builds the engine's own tests instead, for ``test/kernels.mjs``.
"""

import gzip
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parent / "bnnup" / "native"
WEIGHTS = HERE.parent / "weights"
NETWORKS = ("hybrid", "hybrid-large", "edsr-small-real", "hybrid-large-real", "edsr-small-screen")

# What runs in every browser; what takes the CPU's own fused multiply-add; and what does
# without, and so is not exact. All link the same C++ library, which takes longer to compile than
# they do; -mcpu would make it another one for each.
TARGETS = {
    "engine": ("-msimd128",),
    "engine-relaxed": ("-msimd128", "-mrelaxed-simd"),
    "engine-fast": ("-msimd128", "-DBNNUP_FAST"),
}
SOURCES = ("wasm", "avx2", "avx512", "amx", "neon")
SOURCES += ("cpu", "dispatch", "network", "slots", "plan", "operations", "run", "colors")
# As in the engine's CMakeLists.txt; nothing catches exceptions.
FLAGS = (
    *("-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    *("-Wall", "-Wextra", "-Werror", "-fexceptions", "-fvisibility=hidden"),
    *(f"-I{HERE / 'engine' / 'single'}", f"-I{NATIVE}"),
)


def main() -> None:
    *options, folder = sys.argv[1:] or [""]
    if not folder or options not in ([], ["--tests"]):
        sys.exit("usage: python web/build.py [--tests] FOLDER")
    if not have_compiler():
        sys.exit("error: no compiler for WebAssembly; pip install ziglang")
    build = build_tests if options else build_page
    build(Path(folder))


def have_compiler() -> bool:
    return importlib.util.find_spec("ziglang") is not None


def build_page(folder: Path) -> None:
    """All that a host has to serve, in ``folder``."""
    shutil.copytree(HERE / "page", folder, dirs_exist_ok=True)
    for network in NETWORKS:
        for model in WEIGHTS.glob(f"{network}-x[234].safetensors"):
            write_model(folder, model)
    with TemporaryDirectory() as made:
        for name, target in TARGETS.items():
            program = Path(made) / f"{name}.wasm"
            build_program(program, target, [HERE / "engine" / "face.cpp"], "-mexec-model=reactor")
            write_compressed(folder, program.name, program.read_bytes())
    write_worker_list(folder)


def build_tests(folder: Path) -> None:
    """test.wasm and test-relaxed.wasm."""
    callers = [NATIVE / "portable.cpp", NATIVE / "test" / "test.cpp"]
    for name, target in (("test", "engine"), ("test-relaxed", "engine-relaxed")):
        build_program(folder / f"{name}.wasm", TARGETS[target], callers)


def write_model(folder: Path, path: Path) -> None:
    """A model file, every fourth byte of its tensors together: gzip packs numbers better so."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    tensors = content[begin:]
    parts = (tensors[place::4] for place in range(4))
    write_compressed(folder, f"{path.stem}.model", content[:begin] + b"".join(parts))


def write_compressed(folder: Path, name: str, content: bytes) -> None:
    """Not every host compresses what it serves."""
    (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))


def build_program(path: Path, target: tuple[str, ...], callers: list[Path], *link: str) -> None:
    """The engine and the sources that call it."""
    sources = [*(NATIVE / f"{name}.cpp" for name in SOURCES), HERE / "engine" / "exceptions.cpp"]
    options = [*target, *FLAGS]
    with TemporaryDirectory() as objects, ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = partial(compile_object, options=options, folder=Path(objects))
        made = list(pool.map(compiled, [*sources, *callers]))
        stack = "-Wl,-z,stack-size=1048576"
        compiler("-s", stack, *link, *made, "-o", str(path))


def compile_object(source: Path, options: list[str], folder: Path) -> str:
    made = folder / f"{source.stem}.o"
    compiler(*options, "-c", str(source), "-o", str(made))
    return str(made)


def compiler(*arguments: str) -> None:
    command = [sys.executable, "-m", "ziglang", "c++", "-target", "wasm32-wasi", *arguments]
    subprocess.run(command, check=True)


def write_worker_list(folder: Path) -> None:
    """Tells the service worker what to keep, and under which name: that of the contents."""
    names = sorted(p.name for p in folder.iterdir() if p.name != "service-worker.js")
    digest = sha256()
    for name in names:
        digest.update(name.encode() + (folder / name).read_bytes())
    worker = folder / "service-worker.js"
    kept = [name for name in names if not name.endswith(".wasm.gz")]  # one of which it needs
    files = json.dumps({"version": digest.hexdigest()[:16], "files": kept})
    worker.write_text(worker.read_text().replace("/* FILES */ null", files))


if __name__ == "__main__":
    os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(Path.home() / ".cache" / "zig"))
    main()
