"""Where the results of what a user names go: of pictures one by one, and of folders."""

from collections.abc import Sequence
from pathlib import Path

from bnnup.errors import MediaError
from bnnup.folders.naming import ending_of
from bnnup.folders.settings import Settings
from bnnup.folders.tasks import Stream, Task
from bnnup.pictures import formats
from bnnup.system import files, paths


def name_tasks(
    sources: Sequence[Path | Stream],
    output: str | Stream | None,
    settings: Settings,
    *,
    force: bool = False,
) -> list[Task]:
    """A task for each picture.

    ``output`` is a stream, a file, or a folder if it is one or ends with a slash: there,
    results have the names of their inputs. Without it they lie beside them. ValueError for
    what cannot be meant, MediaError for what cannot be written.
    """
    folder = None if isinstance(output, Stream) else folder_named(output)
    if len(sources) > 1 and output is not None and folder is None:
        name = output.name if isinstance(output, Stream) else output
        raise ValueError(f"{name} is not a folder, which several pictures need: give one")
    tasks: list[Task] = []
    for source in sources:
        target = _target(source, output, folder, settings)
        if not isinstance(target, Stream):
            if settings.format is None:
                formats.format_of(target)
            files.check_writable(target, force=force)
            if target in [task.target for task in tasks]:
                raise MediaError(f"two results would be {target}; give them folders of their own")
        tasks.append(Task(source, target))
    return tasks


def folder_named(output: str | None) -> Path | None:
    """The folder that an output names; one that ends with a slash is made."""
    if output is None:
        return None
    path = paths.to_path(output)
    if paths.is_folder(path):
        return path
    if not output.endswith(paths.SLASHES):
        return None
    path.mkdir(parents=True, exist_ok=True)
    return path


def _target(
    source: Path | Stream, output: str | Stream | None, folder: Path | None, settings: Settings
) -> Path | Stream:
    if isinstance(output, Stream):
        return output
    if output is not None and folder is None:
        return paths.to_path(output)
    if isinstance(source, Stream):
        raise ValueError(f"{source.name} has no name to give to its result: name one")
    return name_result(source, folder, settings.size.label, ending_of(source, settings.format))


def name_result(source: Path, folder: Path | None, label: str, ending: str) -> Path:
    """Beside ``source``, with the label in its name; of the same name in another folder."""
    if folder is not None and paths.absolute(folder) != paths.absolute(source.parent):
        return folder / f"{source.stem}{ending}"
    return source.with_name(f"{source.stem}_{label}{ending}")


def place_results(source: Path, output: str | None, label: str, *, several: bool) -> Path:
    """Where a folder's results go: to ``output``, there in a folder of its name if it is one
    of several, or beside it, with the label in its name. ValueError if it has none.
    """
    whole = source.resolve()
    if output is not None:
        return paths.to_path(output) / whole.name if several else paths.to_path(output)
    if not whole.name:
        raise ValueError(f"{source} has no name to give to its results: name one")
    return whole.with_name(f"{whole.name}_{label}")
