"""libav's frames and the planes in them."""

from fractions import Fraction
from typing import Any

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type as SideData
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from bnnup.video.planes import Plane, PlaneFormat

DEEP_WHITE = 255 << 8  # what libav's scaler takes for white in R'G'B' of 16 bits


def is_rgb(pix_fmt: str) -> bool:
    """Whether one of libav's formats is R'G'B' by nature."""
    form = VideoFormat(pix_fmt)
    return form.is_rgb or form.has_palette


def has_alpha(pix_fmt: str) -> bool:
    """Whether its pictures may be transparent."""
    return any(component.is_alpha for component in VideoFormat(pix_fmt).components)


def is_deep(pix_fmt: str) -> bool:
    """Whether its samples have more than 8 bits."""
    return VideoFormat(pix_fmt).components[0].bits > 8


def mapped(frame: VideoFrame, codes: NDArray[Any], alpha: NDArray[Any] | None) -> VideoFrame:
    """A frame of R'G'B' in 16 bits with the code that ``codes`` has for each of its samples, and
    ``alpha`` for those of alpha, by default their own."""
    found = VideoFrame(frame.width, frame.height, frame.format.name)
    order = ">u2" if frame.format.name.endswith("be") else "<u2"
    for mine, other in zip(found.planes, frame.planes, strict=True):
        samples = np.frombuffer(memoryview(other), order).reshape(other.height, -1)
        room = np.frombuffer(memoryview(mine), order).reshape(mine.height, -1)
        columns = min(samples.shape[1], room.shape[1])  # beyond the picture, there is padding
        room[:, :columns] = codes[samples[:, :columns]]
        if has_alpha(frame.format.name):
            own = samples[:, 3:columns:4]
            room[:, 3:columns:4] = own if alpha is None else alpha[own]
    return found


def to_planes(frame: VideoFrame, form: PlaneFormat) -> list[Plane]:
    """Views of a frame's samples, without the padding of its lines."""
    views = []
    shapes = form.shapes(frame.height, frame.width)
    for plane, (rows, columns) in zip(frame.planes, shapes, strict=True):
        samples = np.frombuffer(memoryview(plane), form.dtype)
        views.append(samples.reshape(rows, plane.line_size // form.dtype.itemsize)[:, :columns])
    return views


def from_planes(planes: list[Plane], pix_fmt: str) -> VideoFrame:
    """A frame that holds the planes."""
    height, width = planes[0].shape
    frame = VideoFrame(width, height, pix_fmt)
    fill(frame, planes)
    return frame


def fill(frame: VideoFrame, planes: list[Plane]) -> None:
    """Overwrites a frame's samples."""
    for plane, values in zip(frame.planes, planes, strict=True):
        samples = np.frombuffer(memoryview(plane), values.dtype)
        line = plane.line_size // values.dtype.itemsize
        samples.reshape(-1, line)[: values.shape[0], : values.shape[1]] = values


def filters_for(frame: VideoFrame, *filters: tuple[str, str]) -> Graph:
    """libav's filters, each with its options, one behind the other, for frames like this one."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1, 25),
    )
    steps = [graph.add(name, options or None) for name, options in (*filters, ("buffersink", ""))]
    graph.link_nodes(source, *steps).configure()
    return graph


def side_data(frame: VideoFrame) -> dict[SideData, bytes]:
    """What the decoder attached to a frame."""
    entries: Any = frame.side_data  # which iterates over entries, not over keys
    return {entry.type: bytes(entry) for entry in entries}
