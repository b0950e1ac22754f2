"""The networks of a job, each loaded when the first picture needs it."""

from collections.abc import Callable, Sequence

from bnnup.folders.settings import Machine, Settings
from bnnup.pictures.picture import Picture
from bnnup.upscale.choice import AUTO, CLEAN, Choice, choose_model
from bnnup.upscale.size import plan_passes
from bnnup.upscale.upscaler import Upscaler, load

Load = Callable[[str, int], Upscaler]  # of a model's name and scale


class Networks:
    """Gives each picture the networks that it goes through; BnnupError where one is missing.

    ``load`` makes an upscaler of a model's name and a scale, by default on this machine.
    """

    def __init__(self, settings: Settings, machine: Machine, load: Load | None = None) -> None:
        self._settings, self._machine = settings, machine
        self._load = load or self.load
        self._ready: dict[tuple[str, int], Upscaler] = {}

    def load(self, name: str, scale: int) -> Upscaler:
        """A model on this machine, as its settings say."""
        machine = self._machine
        return load(
            name,
            scale=scale,
            tile=machine.tile,
            memory=machine.memory,
            threads=machine.threads,
            alpha=self._settings.alpha,
            backend=machine.backend,
        )

    def named(self, name: str, scale: int) -> Upscaler:
        """The upscaler of a model at a scale."""
        if (name, scale) not in self._ready:
            self._ready[name, scale] = self._load(name, scale)
        return self._ready[name, scale]

    def prepare(self) -> None:
        """Loads what is certain to be needed."""
        factor, name = self._settings.size.factor, self._settings.model
        if factor is not None:
            for scale in plan_passes(factor):
                self.named(CLEAN if name == AUTO else name, scale)

    def choose(self, picture: Picture) -> tuple[Sequence[Upscaler], Choice]:
        """What a picture goes through, one pass after the other, and why.

        The second pass of two sees what the first made, which is clean.
        """
        name = self._settings.model
        height, width = picture.pixels.shape[:2]
        scales = plan_passes(self._settings.size.factor_for(width, height))
        if name != AUTO or not scales:
            return [self.named(name, scale) for scale in scales], Choice(name)
        choice = choose_model(picture, scales[0])
        names = [choice.model, *(CLEAN for _ in scales[1:])]
        upscalers = [self.named(*each) for each in zip(names, scales, strict=True)]
        return upscalers, choice
