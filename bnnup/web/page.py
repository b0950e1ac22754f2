"""The page's files: where an installation has them, and a copy for any host."""

import shutil
from pathlib import Path

import bnnup
from bnnup.errors import BnnupError, MediaError, reason

FIRST = "index.html"


class PageError(BnnupError):
    """The page is not there, or cannot be served."""


def page_folder() -> Path:
    """The folder of the page's files.

    Raises PageError if this installation was built without a compiler for WebAssembly.
    """
    for package in bnnup.__path__:  # an editable installation has two folders
        folder = Path(package) / "web" / "files"
        if (folder / FIRST).is_file():
            return folder
    raise PageError(
        "this installation has no page: there was no WebAssembly compiler when it was built; "
        "in bnnup's source, 'BNNUP_WEB=1 pip install .' fetches one and builds the page"
    )


def copy_page(folder: Path, *, force: bool = False) -> None:
    """Writes the page's files into ``folder``, which is made if need be.

    Any host of static files can serve them. Raises PageError if there is no page, and
    MediaError if the folder holds something and ``force`` is not set, or cannot be written.
    """
    source = page_folder()
    try:
        if not force and folder.is_dir() and any(folder.iterdir()):
            raise MediaError(f"{folder} is not empty", hint="force or output")
        shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    except (OSError, shutil.Error) as error:
        raise MediaError(f"cannot write {folder}: {reason(error)}") from error
