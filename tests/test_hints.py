"""What errors hint at, and how the command line says it."""

import ast
import re
from pathlib import Path

import bnnup
from bnnup.cli.output import HINTS, with_hint

PACKAGE = Path(bnnup.__file__).parent
LIBRARY = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "cli"]


def hints(path: Path) -> set[str]:
    """The hints of errors that a file raises."""
    return {
        keyword.value.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "hint"
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, str)
    }


def test_every_hint_has_words_and_every_word_a_use() -> None:
    assert set().union(*map(hints, LIBRARY)) == set(HINTS)


def test_a_hint_follows_the_error() -> None:
    assert with_hint("a.png exists", "force") == "a.png exists; overwrite it with --force"
    assert with_hint("it is broken", "") == "it is broken"


def test_the_library_names_no_options_of_the_command_line() -> None:
    """Those who use it from Python have other names for them."""
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise):
                for part in ast.walk(node):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        assert not re.search(r"(^|[ '])--[a-z]", part.value), (path, part.value)
