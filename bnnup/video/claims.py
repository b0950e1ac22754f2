"""What a film says of its pictures beside them, and what of that larger ones may say again."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO

import av
import av.logging
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from bnnup.video.animation import FORMATS
from bnnup.video.frames import has_alpha, side_data
from bnnup.video.read import says_alpha

# Matroska's names of codecs.
MATROSKA = {
    "h264": "V_MPEG4/ISO/AVC",
    "hevc": "V_MPEGH/ISO/HEVC",
    "av1": "V_AV1",
    "vp9": "V_VP9",
    "ffv1": "V_FFV1",
    "prores": "V_PRORES",
}
# libav's AVStereo3D types, of which those that enlarging leaves what they are, and Matroska's
# StereoMode for the left eye first and the right one first.
BESIDE, BELOW, IN_TURN = 1, 2, 3
STEREO_MODES = {BESIDE: (1, 11), BELOW: (3, 2), IN_TURN: (13, 14)}
INVERTED = 1  # of its flags: the right eye first
# libav's AVSphericalProjection: those that containers know.
SPHERE, CUBE, TILE = 0, 1, 2
FIXED = 65536.0  # libav's angles count in 1/65536 of a degree


@dataclass(frozen=True)
class Claims:
    """``crop`` is what players leave out at the left, right, top and bottom, in pixels.

    ``stereo`` and ``sphere`` are libav's AVStereo3D and AVSphericalMapping, ``dolby`` is the
    profile of Dolby Vision and what its pictures are without it (0: nothing that another
    player can show), ``alpha`` says that transparency lies beside the pictures, ``captions``
    that text lies within, ``dynamic`` that HDR is told scene by scene.
    """

    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    stereo: bytes | None = None
    sphere: bytes | None = None
    dolby: tuple[int, int] | None = None
    alpha: bool = False
    captions: bool = False
    dynamic: bool = False

    @classmethod
    def read(cls, stream: VideoStream, description: str) -> Claims:
        """Those of a stream, as it is described."""
        crop = re.search(r"Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)", description)
        dolby = re.search(r"DOVI .*profile: (\d+),.*compatibility id: (\d+)", description)
        return cls(
            crop=tuple(map(int, crop.groups())) if crop else (0, 0, 0, 0),  # type: ignore[arg-type]
            dolby=(int(dolby[1]), int(dolby[2])) if dolby else None,
            alpha=says_alpha(stream.metadata) or _has_alpha(stream),
        )

    def seen_in(self, frame: VideoFrame) -> Claims:
        """With those that a frame makes."""
        side = side_data(frame)
        return replace(
            self,
            stereo=self.stereo or side.get(SideData.STEREO3D),
            sphere=self.sphere or side.get(SideData.SPHERICAL),
            captions=self.captions or SideData.A53_CC in side,
            dynamic=self.dynamic or SideData.DYNAMIC_HDR_PLUS in side,
        )

    @property
    def lasting(self) -> bool:
        """Whether there are any that containers hold and larger pictures make, too."""
        return self._stereo_mode is not None or self._projection is not None

    @property
    def broken(self) -> bool:
        """Whether the eyes' pictures are so mixed that enlarging mixes them for good."""
        return bool(self.stereo) and self._stereo_mode is None and self._stereo_type != 0

    def template(self, codec: str, times: float) -> InputContainer:
        """A film of one stream without pictures, of a codec by libav's name, that makes the
        claims that last of pictures so many times as large.

        The only way to give libav claims through PyAV is a stream that makes them.
        """
        video = _number("B0", 16) + _number("BA", 16)
        if self._stereo_mode is not None:
            video += _number("53B8", self._stereo_mode)
        if self._projection is not None:
            video += _projection(self.sphere or b"", times)
        track = _number("D7", 1) + _number("73C5", 1) + _number("83", 1)
        track += _element("86", MATROSKA[codec].encode()) + _element("E0", video)
        segment = _element("1549A966", _number("2AD7B1", 1_000_000))
        segment += _element("1654AE6B", _element("AE", track))
        segment += _element("1F43B675", _number("E7", 0))
        head = _element("1A45DFA3", _element("4282", b"matroska"))
        return av.open(BytesIO(head + _element("18538067", segment)), "r")

    @property
    def _stereo_type(self) -> int:
        return int(struct.unpack_from("=i", self.stereo)[0]) if self.stereo else 0

    @property
    def _stereo_mode(self) -> int | None:
        """Matroska's."""
        modes = STEREO_MODES.get(self._stereo_type)
        return modes and modes[struct.unpack_from("=2i", self.stereo or b"")[1] & INVERTED]

    @property
    def _projection(self) -> int | None:
        """libav's, if containers know it."""
        kind = struct.unpack_from("=i", self.sphere)[0] if self.sphere else None
        return kind if kind in (SPHERE, CUBE, TILE) else None


def describe(container: InputContainer) -> dict[int, str]:
    """What libav says of each stream of a file, which PyAV has as text only."""
    with talking():
        text: str = container.dumps_format()  # type: ignore[attr-defined]
    parts = re.split(r"^ *Stream #0:(\d+)", text, flags=re.MULTILINE)
    return {int(index): part for index, part in zip(parts[1::2], parts[2::2], strict=True)}


@contextmanager
def talking() -> Iterator[None]:
    """Has libav describe things to its log, which is silent otherwise."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        yield
    finally:
        av.logging.set_level(level)


def _has_alpha(stream: VideoStream) -> bool:
    """Whether its pictures have alpha; all animations do, whether they need it or not."""
    context = stream.codec_context
    return context.name not in FORMATS and has_alpha(context.pix_fmt or "gray")


def _projection(sphere: bytes, times: float) -> bytes:
    """Matroska's element for libav's AVSphericalMapping."""
    kind, *angles, left, top, right, bottom, padding = struct.unpack_from("=4i5I", sphere)
    if kind == CUBE:  # its padding counts pixels
        number, private = 2, struct.pack(">3I", 0, 0, round(padding * times))
    else:
        number, private = 1, struct.pack(">5I", 0, top, bottom, left, right)
    found = _number("7671", number) + _element("7672", private)
    for name, angle in zip(("7673", "7674", "7675"), angles, strict=True):
        found += _element(name, struct.pack(">d", angle / FIXED))
    return _element("7670", found)


def _element(name: str, data: bytes) -> bytes:
    """Of EBML: a name, how many bytes follow, and these."""
    return bytes.fromhex(name) + (1 << 56 | len(data)).to_bytes(8, "big") + data


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(4, "big"))
