"""Pictures that are named one by one: what becomes of each, and where it goes."""

from collections.abc import Sequence
from pathlib import Path

from bnnup.errors import MediaError
from bnnup.folders.naming import ending_of
from bnnup.folders.settings import Settings
from bnnup.folders.tasks import Task
from bnnup.pictures import formats
from bnnup.system import files, paths

PIPE = "-"


def name_tasks(
    sources: Sequence[Path | None], output: str | None, settings: Settings, *, force: bool
) -> list[Task]:
    """A task for each picture; None and "-" are standard input and output.

    ``output`` is a file, or a folder if it is one or ends with a slash: there, results have
    the names of their inputs. Without it they lie beside them. ValueError for what cannot be
    meant, MediaError for what cannot be written.
    """
    folder = _folder(output)
    if len(sources) > 1 and output is not None and folder is None:
        raise ValueError(f"{output} is no folder, which several pictures need")
    tasks: list[Task] = []
    for source in sources:
        target = _target(source, output, folder, settings)
        if target is not None:
            if settings.format is None:
                formats.format_of(target)
            files.check_writable(target, force=force)
            if target in [task.target for task in tasks]:
                raise MediaError(f"two results would be {target}; give them folders of their own")
        tasks.append(Task(source, target))
    return tasks


def _folder(output: str | None) -> Path | None:
    """The folder that an output names; one that ends with a slash is made."""
    if output is None or output == PIPE:
        return None
    path = paths.to_path(output)
    if paths.is_folder(path):
        return path
    if not output.endswith("/"):
        return None
    path.mkdir(parents=True, exist_ok=True)
    return path


def _target(
    source: Path | None, output: str | None, folder: Path | None, settings: Settings
) -> Path | None:
    if output == PIPE or (output is None and source is None):
        return None
    if output is not None and folder is None:
        return paths.to_path(output)
    if source is None:
        raise ValueError("standard input has no name; give one with -o")
    ending = ending_of(source, settings.format)
    if folder is not None and paths.absolute(folder) != paths.absolute(source.parent):
        return folder / f"{source.stem}{ending}"
    return source.with_name(f"{source.stem}_{settings.size.label}{ending}")
