"""Sound files to begin with, made on the spot: pictures in every format, and networks."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from bnnup.model.file import Model, serialize
from bnnup.model.operations import (
    ACTIVATIONS,
    Add,
    Bicubic,
    BinaryConvolution,
    ChannelAttention,
    Concatenate,
    Convolution,
    PixelShuffle,
    QuantizedConvolution,
)
from bnnup.model.program import INPUT, Program
from bnnup.pictures.animation import Animation
from bnnup.pictures.formats import TABLE, Encoding, Format
from bnnup.pictures.write import encode, encode_animation

HEIGHT, WIDTH = 7, 10
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation='
    b'"6" tiff:ImageWidth="10"><a><b>c</b></a></rdf:Description></rdf:RDF></x:xmpmeta>'
)


def pictures() -> list[bytes]:
    """Pictures of every kind that every format can hold, each as the bytes of a file."""
    return [content for kind in TABLE for content in _of_format(kind)] + [*_by_pillow()]


def _of_format(kind: Format) -> Iterator[bytes]:
    if not kind.written:
        return
    for samples in (), (2,), (3,), (4,):
        if samples and not (kind.color_bits and (kind.alpha or samples == (3,))):
            continue
        for bits in {8, kind.color_bits if samples else kind.bits} & {8, 16}:
            pixels = _pixels(samples, bits)
            file = BytesIO()
            encode([pixels], pixels.shape, _info(kind), Encoding(kind.name), file)
            yield file.getvalue()
    if kind.animation is not None:
        frames = _pixels((3,), 8), _pixels((3,), 8)[::-1], _pixels((3,), 8)
        moving = Animation(b"", 0, (30, 40, 50), 2, has_alpha=False)
        file = BytesIO()
        encode_animation(frames, frames[0].shape, moving, {}, Encoding(kind.name), file)
        yield file.getvalue()


def _pixels(samples: tuple[int, ...], bits: int) -> NDArray[Any]:
    random = np.random.default_rng(len(samples) + bits)
    dtype = np.uint8 if bits == 8 else np.uint16
    return random.integers(0, 1 << bits, (HEIGHT, WIDTH, *samples), dtype)


def _info(kind: Format) -> dict[str, Any]:
    exif = Image.Exif()
    exif[274], exif[315] = 6, "somebody"
    exif[34665] = {40962: WIDTH, 33434: 0.01}
    info = {
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "exif": b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0"),
        "xmp": XMP,
        "dpi": (300.0, 150.0),
        "comment": b"a comment",
        "text": ((b"tEXt", b"Title\0a title"),),
        "iptc": b"\x1c\x02\x05\0\x04name",
    }
    return {name: value for name, value in info.items() if name in kind.keeps}


def _by_pillow() -> Iterator[bytes]:
    """What bnnup reads, and writes differently or not at all."""
    image = Image.fromarray(_pixels((3,), 8))
    ways: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (image.quantize(16), "PNG", {}),
        (image.convert("1"), "PNG", {}),
        (image.convert("RGBA").quantize(8), "GIF", {"transparency": 0}),
        (image, "JPEG", {"progressive": True}),
        (image.convert("CMYK"), "JPEG", {}),
        (image.convert("CMYK"), "TIFF", {"compression": "tiff_lzw"}),
        (image, "TIFF", {"compression": "jpeg"}),
        (image, "TIFF", {"compression": "packbits", "save_all": True, "append_images": [image]}),
        (image.convert("1"), "TIFF", {"compression": "group4"}),
        (image.quantize(16), "TIFF", {}),
        (image, "WEBP", {"lossless": True}),
        (image, "MPO", {"save_all": True, "append_images": [image]}),
        (image.quantize(16), "BMP", {}),
        (image, "TGA", {"compression": "tga_rle"}),
        (image.convert("F"), "TIFF", {}),
        (image.convert("I;16"), "PPM", {}),
    ]
    for picture, name, options in ways:
        file = BytesIO()
        picture.save(file, name, **options)
        yield file.getvalue()
    yield b"P2 3 2 15 # grey\n0 1 2 3 4 15\n"
    yield b"P1 3 2 0 1 0 1 0 1\n"
    yield b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + bytes(12)


def networks() -> list[bytes]:
    """Model files which together have every operation, skip and activation."""
    return [serialize(model_of(each, np.random.default_rng(0))) for each in _programs()]


def model_of(network: Program, random: np.random.Generator) -> Model:
    """The network with random tensors."""
    tensors: dict[str, NDArray[Any]] = {}
    for operation in network.operations:
        inputs = network.inputs(operation)
        for part, spec in operation.tensors(inputs).items():
            if spec.dtype == "uint8":
                bits = random.integers(0, 2, (*spec.shape[:-1], inputs[0].channels), np.uint8)
                made: NDArray[Any] = np.packbits(bits, -1, bitorder="little")
            elif spec.dtype == "int16":
                room = QuantizedConvolution.LARGEST_SUM // int(np.prod(spec.shape[1:]))
                largest = min(room, 99)
                made = random.integers(-largest, largest + 1, spec.shape, np.int16)
            else:
                made = random.standard_normal(spec.shape).astype(np.float32)
            tensors[f"{operation.name}.{part}"] = made
    return Model(network, tensors, {"architecture": "fuzz", "trained_for": "real"})


def _programs() -> Iterator[Program]:
    head = Convolution("head", INPUT, 8, 3)
    for skip, channels in (("none", 12), ("identity", 8), ("average", 4)):
        for activation in ACTIVATIONS:
            yield Program(
                2,
                (
                    head,
                    BinaryConvolution("b", "head", channels, 3, skip, activation),
                    Convolution("up", "b", 4, 1),
                    PixelShuffle("end", "up", 2),
                ),
            )
    yield Program(
        3,
        (
            head,
            ChannelAttention("gate", "head", 2, 5),
            Add("sum", "gate", "head"),
            Concatenate("both", ("sum", "head")),
            QuantizedConvolution("rounded", "both", 17, 3),
            Convolution("up", "rounded", 9, 5),
            PixelShuffle("shuffled", "up", 3),
            Bicubic("large", INPUT, 3),
            Add("end", "shuffled", "large"),
        ),
    )
