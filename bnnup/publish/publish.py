"""Models to the Hub: files, a card, and an example."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import constants
from PIL import Image

from bnnup.errors import HubError, WeightsError
from bnnup.model import hub
from bnnup.model.file import Model, load_model, save_model
from bnnup.model.hub import Place, api, explained
from bnnup.pictures.picture import from_pixels
from bnnup.pictures.read import read_picture
from bnnup.publish import card
from bnnup.upscale.upscaler import Upscaler


def prepare(
    files: Sequence[Path],
    folder: Path,
    repository: str,
    *,
    licence: str | None = None,
    example: Path | None = None,
) -> None:
    """Writes to ``folder`` what ``publish`` would upload, without asking the Hub."""
    _check(repository)
    _write(_named(files), folder, repository, licence, _open(example))


def publish(
    files: Sequence[Path],
    repository: str,
    *,
    private: bool = False,
    licence: str | None = None,
    example: Path | None = None,
) -> str:
    """Creates or updates a repository on the Hub; its address.

    Models that are there already stay and are part of the new card. ``private`` only
    matters for a repository that does not exist yet. Raises WeightsError, MediaError
    or HubError.
    """
    _check(repository)
    named, picture = _named(files), _open(example)
    create(repository, private=private)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _write(_published(repository, named) | named, folder, repository, licence, picture)
        return upload_folder(folder, repository)


def push_to_hub(
    upscaler: Upscaler, repository: str, *, private: bool = False, licence: str | None = None
) -> str:
    """Publishes an upscaler's model as owner/name on the Hub, with a card; returns its address.

    Raises HubError, also if there is no token.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_model(upscaler.model, path)
        return publish([path], repository, private=private, licence=licence)


def _check(repository: str) -> None:
    if hub.Place.parse(repository) != hub.Place(repository):
        raise HubError(f"a repository to publish to is called owner/name, not {repository!r}")


def _open(picture: Path | None) -> Image.Image | None:
    return None if picture is None else from_pixels(read_picture(picture).pixels)


def _published(repository: str, new: Mapping[str, Path]) -> dict[str, Path]:
    """The models that a repository holds and that no new one replaces."""
    place, old = hub.Place(repository), {}
    for file in hub.list_files(place).keys() - new.keys():
        try:
            old[file] = hub.fetch(replace(place, file=file), update=True)
        except HubError as error:
            if not isinstance(error.__cause__, WeightsError):  # another library's file
                raise
    return old


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """Files by what they are called on the Hub."""
    named: dict[str, Path] = {}
    for path in files:
        name = _name(path, load_model(path))
        if name in named:
            raise WeightsError(f"{path} and {named[name]} would both be called {name}: rename one")
        named[name] = path
    return named


def _name(path: Path, model: Model) -> str:
    """The file's own name if it ends in the scale, by which models are chosen there."""
    ending = f"-x{model.program.scale}"
    if path.stem.endswith(ending) and hub.PART.fullmatch(path.name):
        return path.name
    architecture = str(model.about.get("architecture", "model"))
    stem = architecture if hub.PART.fullmatch(architecture) else "model"
    return f"{stem}{ending}.safetensors"


def _write(
    files: Mapping[str, Path],
    folder: Path,
    repository: str,
    licence: str | None,
    picture: Image.Image | None,
) -> None:
    """Everything that a repository holds: the files as they are, the card, the example."""
    models = {name: load_model(path) for name, path in files.items()}
    models = dict(sorted(models.items(), key=lambda item: item[1].program.scale))
    largest = list(models.values())[-1]  # which shows the most
    try:
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(path.read_bytes())
        if picture is not None:
            card.draw_example(picture, largest).save(folder / card.EXAMPLE)
        text = card.make_card(models, repository, licence=licence, example=picture is not None)
        (folder / "README.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise HubError(f"cannot write to {folder}: {error.strerror}") from error


def create(repository: str, *, private: bool = False) -> None:
    """Makes a repository, unless it exists."""
    with explained(Place.parse(repository)):
        api().create_repo(repository, private=private or None, exist_ok=True)


def upload_folder(folder: Path, repository: str) -> str:
    """Adds the files of a folder to a repository, in one commit; its address."""
    with explained(Place.parse(repository)):
        api().upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Published with bnnup"
        )
    return f"{constants.ENDPOINT}/{repository}"
