"""A film's pictures as numbered files, which appear as soon as their segment is finished."""

from pathlib import Path

from bnnup.errors import MediaError
from bnnup.system import files, paths
from bnnup.video.segments import WorkFolder, unfinished
from bnnup.video.sequence import NUMBER, is_sequence, numbered, pictures


class Stills:
    """The pictures of a work folder's segments, under the names that ``target`` makes of numbers
    from ``first`` on: what segments become, like ``FilmFile``.

    Segments that have been placed there keep no pictures of their own. ``losses`` are what
    pictures do not hold of the film.
    """

    def __init__(self, target: Path, first: int, folder: WorkFolder, losses: list[str]) -> None:
        self.losses = losses
        self._target = target
        self._first = first
        self._folder = folder
        self._drop_what_is_gone()
        folder.when_finished = self.place

    @property
    def size(self) -> int:
        """Bytes of the pictures that have been placed."""
        return self._folder.taken_out

    def place(self) -> None:
        """Writes the pictures of all segments that are certain."""
        number = self._first
        for place in list(self._folder.certain()):
            segment = self._folder.segments[place]
            if segment.data:
                for offset, chunk in enumerate(segment.chunks()):
                    with files.writing(numbered(self._target, number + offset)) as file:
                        file.write(chunk.data)
                self._folder.empty(place)
            number += len(segment.times)

    def finish(self) -> list[str]:
        """Places what is left of a film whose segments all fit; what a user should know."""
        self._folder.settle()
        self.place()
        last = self._first + self._folder.frames - 1
        if others := [number for number in pictures(self._target) if number > last]:
            return [f"{numbered(self._target, min(others))} and what follows is an earlier run's"]
        return []

    def _drop_what_is_gone(self) -> None:
        """Forgets the segments whose pictures an earlier run has placed and somebody removed."""
        there, number = pictures(self._target), self._first
        for place in list(self._folder.certain()):
            segment = self._folder.segments[place]
            numbers = range(number, number + len(segment.times))
            number = numbers.stop
            if segment.data:
                continue
            if there.keys() >= set(numbers):
                self._folder.taken_out += sum(there[each].stat().st_size for each in numbers)
            else:
                self._folder.drop([place])


def check_stills(source: Path, target: Path, *, force: bool) -> None:
    """MediaError if pictures would take the place of others, or of the film."""
    if len(NUMBER.findall(target.name)) > 1:
        raise MediaError(f"{target.name} has places for more than one number", hint="output")
    there = pictures(target)
    own = pictures(source).values() if is_sequence(source) else [source]
    mine = {paths.absolute(path) for path in own}
    if target == source or mine & {paths.absolute(path) for path in there.values()}:
        raise MediaError("output and input are the same pictures", hint="output")
    if there and not force and not paths.exists(unfinished(target)):
        raise MediaError(f"{numbered(target, min(there))} exists", hint="force or output")
