"""The layout of the package: a folder for each subject, lower ones never importing higher."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bnnup

PACKAGE = Path(bnnup.__file__).parent
# The lowest first. The package's own __init__ gives the version, and names from above on demand.
ORDER = (
    "errors",
    "system",
    "pixels",
    "model",
    "backends",
    "pictures",
    "upscale",
    "measure",
    "folders",
    "video",
    "cluster",
    "publish",
    "web",
    "nn",
    "train",
    "cli",
    "__main__",
)
MODULES = {
    ".".join(("bnnup", *path.relative_to(PACKAGE).with_suffix("").parts)): path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
}


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, inside functions and for types, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bnnup":
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES or f"{name}.__init__" in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "bnnup")


def floor(module: str) -> int:
    return ORDER.index(module.split(".")[1])


def test_every_module_has_its_place() -> None:
    assert {module.split(".")[1] for module in MODULES} == set(ORDER)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_lead_downwards(module: str) -> None:
    for imported in imports(MODULES[module]):
        if imported != "bnnup":
            assert floor(imported) <= floor(module), f"{module} imports {imported}, above it"


def test_no_circles() -> None:
    graph = {module: set(imports(path)) for module, path in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_every_folder_says_what_it_holds() -> None:
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        if module.endswith(".__init__"):
            assert ast.get_docstring(ast.parse(text)), module
