"""What colours mean: profiles, and what stands in their place in PNG, AVIF and HEIC.

ITU-T H.273, "Coding-independent code points" (CICP).
"""

import struct
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Chunks = tuple[tuple[bytes, bytes], ...]  # PNG's: their kind and content

FOREIGN = ("CMYK", "LAB")
D65 = (0.3127, 0.3290)
# Red, green and blue in x and y, and white, by CICP's number.
BT_709 = ((0.64, 0.33, 0.30, 0.60, 0.15, 0.06), D65)
PRIMARIES = {
    1: BT_709,
    4: ((0.67, 0.33, 0.21, 0.71, 0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33, 0.29, 0.60, 0.15, 0.06), D65),
    6: ((0.630, 0.340, 0.310, 0.595, 0.155, 0.070), D65),
    7: ((0.630, 0.340, 0.310, 0.595, 0.155, 0.070), D65),
    9: ((0.708, 0.292, 0.170, 0.797, 0.131, 0.046), D65),
    11: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), D65),
}
UNKNOWN = 2
BRIGHTNESS = {16: "PQ", 18: "HLG"}  # curves of HDR, which no profile of two colours can say
GAMMA_22, GAMMA_28, LINEAR, SRGB = 4, 5, 8, 13
VIDEO = (1, 6, 11, 14, 15)  # BT.709's curve, under several numbers
STEPS = 1024  # of a curve
SRGB_GAMMA = 45455  # 1/2.2 in PNG's unit


@cache
def srgb() -> bytes:
    """An ICC profile of sRGB."""
    return _undated(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def code_points(primaries: int, transfer: int) -> Chunks:
    """CICP of RGB, as PNG says it; nothing for what is sRGB, or unknown."""
    if primaries in (1, UNKNOWN) and transfer in (SRGB, UNKNOWN):
        return ()
    return ((b"cICP", bytes((primaries, transfer, 0, 1))),)


def brightness(color: Chunks) -> str:
    """The name of the HDR curve that the chunks state, or "" if it is none."""
    content = dict(color).get(b"cICP", b"")
    return BRIGHTNESS.get(content[1], "") if len(content) == 4 else ""


def to_profile(color: Chunks, *, grey: bool) -> bytes | None:
    """The profile that says the same as the chunks; None where that is sRGB.

    ValueError if there is none: for HDR, and for code points that nobody knows.
    """
    chunks = dict(color)
    if len(content := chunks.get(b"cICP", b"")) == 4:
        return _of_code_points(*content[:2], grey=grey)
    if b"sRGB" in chunks:
        return None
    gamma, primaries = SRGB_GAMMA, BT_709
    if len(content := chunks.get(b"gAMA", b"")) == 4:
        gamma = int.from_bytes(content) or SRGB_GAMMA
    if len(content := chunks.get(b"cHRM", b"")) == 32:
        white_x, white_y, *others = (value / 100_000 for value in struct.unpack(">8I", content))
        primaries = tuple(others), (white_x, white_y)
    near = np.allclose([*primaries[0], *primaries[1]], [*BT_709[0], *BT_709[1]], atol=0.0015)
    if abs(gamma - SRGB_GAMMA) < 500 and (near or grey):
        return None
    return _profile(primaries, 100_000 / gamma, grey=grey)


def _of_code_points(primaries: int, transfer: int, *, grey: bool) -> bytes | None:
    if not code_points(primaries, transfer):
        return None
    if transfer in BRIGHTNESS:
        raise ValueError(f"HDR of the kind {BRIGHTNESS[transfer]}")
    if primaries not in PRIMARIES and primaries != UNKNOWN:
        raise ValueError(f"the code points {primaries}/{transfer}")
    curves: dict[int, Any] = {GAMMA_22: 2.2, GAMMA_28: 2.8, LINEAR: 1.0}
    curves |= {SRGB: _srgb_curve(), UNKNOWN: _srgb_curve()}
    curves |= dict.fromkeys(VIDEO, _video_curve())
    if transfer not in curves:
        raise ValueError(f"the code points {primaries}/{transfer}")
    return _profile(PRIMARIES.get(primaries, BT_709), curves[transfer], grey=grey)


def _profile(
    primaries: tuple[tuple[float, ...], tuple[float, float]],
    curve: float | NDArray[np.uint16],
    *,
    grey: bool,
) -> bytes:
    import imagecodecs

    how: dict[str, Any] = {"whitepoint": primaries[1]}
    how |= {"gamma": curve} if isinstance(curve, float) else {"transferfunction": curve}
    if not grey:
        how["primaries"] = primaries[0]
    return _undated(imagecodecs.cms_profile("gray" if grey else "rgb", **how))


def _undated(profile: bytes) -> bytes:
    """A profile without when it was made: the same picture gives the same bytes at any time."""
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


def _srgb_curve() -> NDArray[np.uint16]:
    value = np.linspace(0, 1, STEPS)
    return _as_curve(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


def _video_curve() -> NDArray[np.uint16]:
    value = np.linspace(0, 1, STEPS)
    return _as_curve(np.where(value < 0.081, value / 4.5, ((value + 0.099) / 1.099) ** (1 / 0.45)))


def _as_curve(light: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.floor(light * 65535 + 0.5).astype(np.uint16)


def is_srgb(profile: bytes) -> bool:
    """Whether a profile shows every colour as sRGB does, to a step of 8 bits."""
    import imagecodecs

    steps = np.linspace(0, 255, 6).round().astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    grey = profile[16:20] == b"GRAY"
    if grey:
        colors = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    given = np.ascontiguousarray(colors[..., 0]) if grey else colors
    try:
        space = "gray" if grey else "rgb"
        shown = imagecodecs.cms_transform(
            given, profile, srgb(), colorspace=space, outcolorspace="rgb"
        )
    except Exception:  # of whatever kind, as with all that libraries say of broken data
        return False
    return bool(np.abs(shown.astype(int) - colors).max() <= 1)


def fits(profile: bytes, channels: int) -> bool:
    """Whether a profile is one for pictures of so many channels; RGB's are kept for grey, too."""
    return profile[16:20] in ((b"RGB ",) if channels >= 3 else (b"GRAY", b"RGB "))


def lab_to_srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* of white D50 to sRGB in [0, 1], clipped; (…, 3) to the same."""
    light = (lab[..., 0] + 16) / 116
    roots = np.stack([light + lab[..., 1] / 500, light, light - lab[..., 2] / 200], -1)
    xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * D50_WHITE
    linear = (xyz @ D50_TO_SRGB.T).clip(0, 1)
    low, high = linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
    shown: NDArray[np.float64] = np.where(linear <= 0.0031308, low, high)
    return shown


D50_WHITE = np.array([0.96422, 1.0, 0.82521])
# XYZ of D50, adapted to D65 by Bradford's transform, to linear sRGB.
D50_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def to_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    """A CMYK or LAB image to sRGB by its profile, and a remark on how that went."""
    try:
        if image.mode == "LAB":
            source = ImageCms.createProfile("LAB")
        else:
            source = ImageCms.getOpenProfile(BytesIO(image.info["icc_profile"])).profile
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(source),
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        assert converted is not None  # it would be, had the image been changed in place
    except (KeyError, OSError, ImageCms.PyCMSError):
        converted = image.convert("RGB")
        converted.info.pop("icc_profile", None)
        return converted, f"{image.mode} without a profile that fits: its colours are a guess"
    converted.info["icc_profile"] = srgb()
    return converted, f"{image.mode} converted to sRGB by its profile"
