"""Colour profiles: from inks, and from Lab, to the RGB that networks enlarge."""

from functools import cache
from io import BytesIO

from PIL import Image, ImageCms

FOREIGN = ("CMYK", "LAB")


@cache
def srgb() -> bytes:
    """An ICC profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


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
