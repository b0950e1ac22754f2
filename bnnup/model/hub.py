"""Models on the Hugging Face Hub: found, fetched, checked and cached.

Cache, tokens, offline mode and progress bars are huggingface_hub's own, with its
environment variables. What is cached is used without asking the Hub whether there is
something newer, so that the same command gives the same picture.
"""

import errno
import hashlib
import logging
import os
import re
import ssl
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import (
    CachedRevisionInfo,
    CacheNotFound,
    HfApi,
    constants,
    errors,
    scan_cache_dir,
    try_to_load_from_cache,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils.tqdm import disable_progress_bars

from bnnup import __version__
from bnnup.errors import BnnupError, HubError, ModelNotFoundError, WeightsError
from bnnup.model.file import MAX_FILE, Model, load_model

NEWEST = "main"
ENDING = ".safetensors"
PART = re.compile(r"(?!\.+$)[\w.-]{1,96}", re.ASCII)  # of a path; neither . nor ..
LOGIN = "log in with 'hf auth login' or set HF_TOKEN"

if not sys.stderr.isatty():
    disable_progress_bars()  # some would fill log files
logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # each failure is told once, by bnnup


@dataclass(frozen=True)
class Place:
    """A repository on the Hub, perhaps one of its files, at a revision."""

    repository: str
    file: str | None = None
    revision: str = NEWEST

    @classmethod
    def parse(cls, text: str) -> "Place":
        """ "owner/repo", "owner/repo/file.safetensors", either with "@revision"."""
        name, at, revision = text.partition("@")
        parts = name.split("/")
        sound = len(parts) >= 2 and all(PART.fullmatch(part) for part in parts)
        if at:
            sound = sound and all(PART.fullmatch(part) for part in revision.split("/"))
        if not sound or (len(parts) > 2 and not name.endswith(ENDING)):
            raise ModelNotFoundError(
                f"{text[:80]!r} is not a model on the Hub: those are called owner/repo or "
                "owner/repo/file.safetensors, either with @revision"
            )
        return cls("/".join(parts[:2]), "/".join(parts[2:]) or None, revision or NEWEST)

    def __str__(self) -> str:
        path = self.repository if self.file is None else f"{self.repository}/{self.file}"
        return path if self.revision == NEWEST else f"{path}@{self.revision}"


# Fetching


def fetch(place: Place, scale: int | None = None, *, update: bool = False) -> Path:
    """The local file of a model, checked; from the cache unless ``update``.

    Without a file in ``place``, ``scale`` chooses one. A fetched file that is not what
    it should be is removed again. Raises ModelNotFoundError or HubError.
    """
    path = None if update else find_cached(place, scale)
    if path is not None:
        _check_digest(path, place)
        return path
    files = list_files(place)  # unlike the download, fails at once where there is no Hub
    file = place.file or choose(files, scale, str(place))
    place = replace(place, file=file)
    listed = files.get(file)
    if listed is not None and (size := listed.size or 0) > MAX_FILE:
        raise HubError(f"{place} is too large for a model of bnnup: {size / 1e6:.0f} MB")
    others = {path.resolve() for path in _all_files()}
    with explained(place), warnings.catch_warnings():
        # Windows grants links to few users; a model is one small file, with links or without.
        warnings.filterwarnings("ignore", ".* uses symlinks by default", UserWarning)
        path = Path(api().hf_hub_download(place.repository, file, revision=place.revision))
    _check_digest(path, place, listed)
    try:
        load_model(path)
    except WeightsError as error:
        if path.resolve() not in others:  # the cache is shared with other libraries
            discard(path)
        raise HubError(f"{place} is not a model that bnnup can use: {error.__cause__}") from error
    return path


def list_files(place: Place) -> dict[str, RepoSibling]:
    """The .safetensors files of a repository, with sizes and checksums, by name; or HubError."""
    with explained(place):
        info = api().model_info(
            place.repository,
            revision=place.revision,
            files_metadata=True,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
        )
    files = info.siblings or ()
    return {file.rfilename: file for file in files if file.rfilename.endswith(ENDING)}


def choose(files: Iterable[str], scale: int | None, whose: str) -> str:
    """The file for a scale: one that ends in -x2, -x3 or -x4, or one that names no scale."""
    files = sorted(files)
    fitting = [file for file in files if _scale_of(file) == scale]
    fitting = fitting or [file for file in files if _scale_of(file) is None]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ModelNotFoundError(
            f"{whose} has several models: name one of {', '.join(fitting[:9])} after a slash"
        )
    raise ModelNotFoundError(
        f"{whose} has no model for ×{scale}; it has {', '.join(files[:9]) or 'none at all'}"
    )


def _scale_of(file: str) -> int | None:
    match = re.search(r"(?:^|[-_/])x(\d)\.safetensors$", file)
    return int(match[1]) if match else None


def api() -> HfApi:
    return HfApi(library_name="bnnup", library_version=__version__)


def _check_digest(path: Path, place: Place, listed: RepoSibling | None = None) -> None:
    """HubError, and no file, if it is not what the Hub announced.

    The cache calls large files by the SHA-256 that the Hub announced, where it can make
    links to them; elsewhere, only what has been ``listed`` just now can be compared.
    """
    announced = path.resolve().name
    expected = announced if re.fullmatch("[0-9a-f]{64}", announced) else None
    if listed is not None and listed.lfs is not None:
        expected = listed.lfs.sha256
    with explained(place):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected not in (None, digest):
        discard(path, damaged=True)
        raise HubError(
            f"{place} is damaged (its SHA-256 is not the expected one) and was removed; "
            "run the same command to fetch it again"
        )


# The cache


def _all_files() -> Iterator[Path]:
    """Everything in the cache, other libraries' files included."""
    return (file.file_path for _, revision in _revisions() for file in revision.files)


@dataclass(frozen=True)
class Cached:
    """A model in the cache; ``place.revision`` is a commit, NEWEST if that one is current."""

    place: Place
    commit: str
    refs: frozenset[str]  # branches and tags that mean this commit
    path: Path
    model: Model

    def belongs_to(self, place: Place) -> bool:
        """Whether it is what a name means, in whatever revision unless that names one."""
        return (
            self.place.repository == place.repository
            and place.file in (None, self.place.file)
            and place.revision in (NEWEST, self.commit, *self.refs)
        )


def cache_folder() -> Path:
    return Path(constants.HF_HUB_CACHE)


def find_cached(place: Place, scale: int | None) -> Path | None:
    """The cached file of a place, if it is there; without any request."""
    if place.file is not None:
        return _cached_file(place, place.file)
    with suppress(BnnupError):
        path = _cached_file(place, choose(_files_of(place), scale, str(place)))
        # The repository may have a file for this scale that is not cached.
        return path if path and load_model(path).program.scale == scale else None
    return None


def _cached_file(place: Place, file: str) -> Path | None:
    path = try_to_load_from_cache(
        place.repository, file, revision=place.revision, cache_dir=cache_folder()
    )
    return Path(path) if isinstance(path, str) and os.path.isfile(path) else None


def list_snapshot(place: Place) -> list[Path]:
    """The cached .safetensors files of a repository at a revision."""
    return [path for _, path in sorted(_files_of(place).items())]


def _files_of(place: Place) -> dict[str, Path]:
    """Cached .safetensors files of a repository at a revision, by their names there."""
    for repository, revision in _revisions():
        known_as = (revision.commit_hash, *revision.refs)
        if repository == place.repository and place.revision in known_as:
            return _models_in(revision)
    return {}


def list_cached() -> list[Cached]:
    """bnnup's models in the cache, which other programs share."""
    found = []
    for repository, revision in sorted(_revisions(), key=lambda r: (r[0], r[1].commit_hash)):
        for file, path in sorted(_models_in(revision).items()):
            with suppress(WeightsError):
                model = load_model(path)
                name = NEWEST if NEWEST in revision.refs else revision.commit_hash
                place = Place(repository, file, name)
                found.append(Cached(place, revision.commit_hash, revision.refs, path, model))
    return found


def discard(path: Path, *, damaged: bool = False) -> None:
    """Removes a cached file, and its revision once nothing else is in it.

    What revisions have in common stays for the others; what is ``damaged`` goes from all.
    """
    revisions = [revision for _, revision in _revisions()]
    links = {file.file_path: file.blob_path for each in revisions for file in each.files}
    if path not in links:
        return
    same = {link for link, blob in links.items() if blob == links[path]}
    doomed = same if damaged else {path}
    for revision in revisions:
        files = {file.file_path for file in revision.files}
        if files <= doomed:
            scan_cache_dir(cache_folder()).delete_revisions(revision.commit_hash).execute()
        else:
            _remove(*(files & doomed))
    if doomed == same:
        _remove(links[path])


def _remove(*paths: Path) -> None:
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise HubError(f"cannot remove {path}: {error.strerror}") from error


def _revisions() -> Iterator[tuple[str, CachedRevisionInfo]]:
    """Every cached revision of a model's repository, with the repository's name."""
    try:
        cache = scan_cache_dir(cache_folder())
    except CacheNotFound:
        return
    for repository in cache.repos:
        if repository.repo_type == "model":
            for revision in repository.revisions:
                yield repository.repo_id, revision


def _models_in(revision: CachedRevisionInfo) -> dict[str, Path]:
    paths = (file.file_path for file in revision.files if file.file_path.suffix == ENDING)
    return {path.relative_to(revision.snapshot_path).as_posix(): path for path in paths}


# Failures


@contextmanager
def explained(place: Place) -> Iterator[None]:
    """Turns whatever the client raises into a HubError that says what to do next."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise HubError(_explain(error, place)) from error


def _explain(error: BaseException, place: Place) -> str:
    chain = [error]  # the client wraps: the cause tells more
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for part in chain:
        if (reason := _reason(part, place)) is not None:
            return reason
    return f"{place}: {_first_line(error)}; set BNNUP_DEBUG=1 to see more"


def _reason(error: BaseException, place: Place) -> str | None:
    """What a single exception means; None if it says nothing by itself."""
    repository, address = place.repository, f"{constants.ENDPOINT}/{place.repository}"
    match error:
        case errors.GatedRepoError():
            return f"{repository} is gated: ask for access at {address}, then {LOGIN}"
        case errors.DisabledRepoError():
            return f"{repository} was disabled by the Hub: {address} may say why"
        case errors.RepositoryNotFoundError():
            return (
                f"no repository {repository} on the Hub, or it is private: "
                f"check the name; for a private one, {LOGIN}"
            )
        case errors.RevisionNotFoundError():
            return f"{repository} has no revision {place.revision}: see {address}/commits/main"
        case errors.RemoteEntryNotFoundError():
            return f"{repository} has no file {place.file}: see {address}/tree/{place.revision}"
        case errors.OfflineModeIsEnabled():
            return (
                f"{place} would have to be fetched, but HF_HUB_OFFLINE is set: unset it, "
                f"or run 'bnnup models download {place}' before you go offline"
            )
        case errors.HfHubHTTPError():
            return _reason_of_status(error.response.status_code, place)
        case OSError() if file := _unusable_certificates():
            return f"SSL_CERT_FILE names no file of certificates, {file}: correct or unset it"
        case OSError(errno=errno.ENOSPC):
            return f"no space left for {place} in {cache_folder()}: free some, or set HF_HOME"
        case OSError(errno=int(), strerror=str(reason)) if not isinstance(error, ConnectionError):
            return f"cannot keep {place} in {cache_folder()}: {reason}"
        case OSError() if "Consistency check failed" in str(error):
            return f"the download of {place} was incomplete: run the same command again"
    if "Timeout" in type(error).__name__:
        return (
            f"the Hub did not answer in time for {place}: try again later, or wait longer with "
            "HF_HUB_ETAG_TIMEOUT=60 HF_HUB_DOWNLOAD_TIMEOUT=60"
        )
    if isinstance(error, errors.HTTPError):  # type: ignore[attr-defined]
        return (
            f"cannot reach {constants.ENDPOINT} for {place}: check the connection, HF_ENDPOINT "
            "and proxies, and try again"
        )
    return None


def _unusable_certificates() -> str | None:
    """The file that the environment names for connections, if it cannot be used."""
    if file := os.environ.get("SSL_CERT_FILE"):
        try:
            ssl.create_default_context(cafile=file)
        except OSError:  # also of what is no certificate
            return file
    return None


def _reason_of_status(status: int, place: Place) -> str:
    if status == 401:
        return f"the Hub asks for a valid token for {place.repository}: {LOGIN}"
    if status == 403:
        return f"your token does not allow this for {place.repository}: {LOGIN}, as its owner"
    if status == 429:
        return f"too many requests to the Hub: wait some minutes; to be allowed more, {LOGIN}"
    if status >= 500:
        return f"the Hub has an internal error ({status}) with {place}: try again later"
    return f"the Hub answered {status} for {place}: set BNNUP_DEBUG=1 to see more"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
