"""libav's frames and the planes in them."""

from typing import Any

import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame

from bnnup.video.planes import Plane, PlaneFormat


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


def side_data(frame: VideoFrame) -> dict[SideData, bytes]:
    """What the decoder attached to a frame."""
    entries: Any = frame.side_data  # which iterates over entries, not over keys
    return {entry.type: bytes(entry) for entry in entries}
