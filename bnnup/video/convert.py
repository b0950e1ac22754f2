"""Sound and subtitles in another form, for containers that cannot hold the one they have."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from bnnup.errors import MediaError

# By container: a form for sound in which no more is lost. Others are for the user to choose.
LOSSLESS = {"matroska": "flac", "mp4": "flac", "mov": "alac", "avi": "pcm_s16le"}
# By container: the form of text that it has for subtitles.
TEXT = {"matroska": "subrip", "mp4": "mov_text", "mov": "mov_text"}
LAYOUTS = {1: "mono", 2: "stereo"}  # which not all files name
PLANES = {"flac": "", "alac": "p"}  # what the names of their formats end in
ENCODERS = {"opus": "libopus", "mp3": "libmp3lame", "vorbis": "libvorbis"}
MARKUP = re.compile(r"<[^<>]{1,200}>|\{\\[^{}]{1,200}\}")


class Converter(Protocol):
    """Makes packets of ``stream`` out of another stream's, in its order of decoding."""

    stream: Stream

    def convert(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """What becomes of a packet by now; of an empty one, what is left."""
        ...


def find_form(stream: Stream, container: str, sound: str | None) -> str | None:
    """The codec that a stream may be converted to for a container, if any.

    ``sound`` is a user's choice for sound. MediaError if there is no such encoder.
    """
    if stream.type == "audio":
        return LOSSLESS.get(container) if sound is None else find_encoder(sound)
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else None
    if codec in ("subrip", "mov_text", "text"):
        return TEXT.get(container)
    return None


def find_encoder(name: str) -> str:
    """libav's encoder for a codec of sound."""
    encoder = ENCODERS.get(name, name)
    try:
        if av.Codec(encoder, "w").type == "audio":
            return encoder
    except ValueError:  # which av.UnknownCodecError is
        pass
    raise MediaError(f"there is no audio encoder called {name}", hint="audio_codec")


def add_converted(target: OutputContainer, stream: Stream, codec: str) -> Converter:
    """Declares the converted stream. ValueError or libav's errors where that cannot be."""
    if stream.type == "audio":
        return _Sound(target, stream, codec)
    return _Subtitles(target, stream, codec)


class _Sound:
    def __init__(self, target: OutputContainer, source: Stream, codec: str) -> None:
        decoder: Any = source.codec_context
        if not decoder.sample_rate:
            raise ValueError("audio that does not say its rate")
        rates = av.Codec(codec, "w").audio_rates
        rate = decoder.sample_rate
        if rates and rate not in rates:
            rate = min(rates, key=lambda known: (known < rate, abs(known - rate)))
        stream: Any = target.add_stream(codec, rate=rate)
        assert isinstance(stream, AudioStream)
        channels = decoder.layout.nb_channels
        stream.codec_context.layout = LAYOUTS.get(channels, decoder.layout)
        # What is deeper than 16 bits stays so. Lossy codecs decode to floating point, which is not.
        bits = "s32" if decoder.format.name in ("s32", "s32p") else "s16"
        if codec in PLANES:
            stream.codec_context.format = bits + PLANES[codec]
        stream.time_base = Fraction(1, rate)
        self.stream: Stream = stream
        self._encoder, self._decoder, self._next = stream, decoder, 0

    def convert(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        try:
            frames = self._decoder.decode(packet if packet.size else None)
        except av.FFmpegError:  # damaged; players leave it out
            return
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            yield from self._timed(self._encoder.encode(frame))
        if not packet.size:
            yield from self._timed(self._encoder.encode(None))

    def _timed(self, packets: list[Packet[Any]]) -> Iterator[Packet[Any]]:
        """The last ones have no times, or no sound."""
        for packet in packets:
            if not packet.size:
                continue
            if packet.pts is None:
                packet.pts = packet.dts = self._next
            self._next = packet.pts + (packet.duration or 0)
            yield packet


class _Subtitles:
    def __init__(self, target: OutputContainer, source: Stream, codec: str) -> None:
        self.stream: Stream = target.add_mux_stream(codec, time_base=source.time_base)
        self._from = source.codec_context.codec.canonical_name
        self._to = codec

    def convert(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        text = bytes(packet)
        if self._from == "mov_text":  # led by its length, styles after it
            (length,) = struct.unpack(">H", text[:2].rjust(2, b"\0"))
            text = text[2 : 2 + length]
        if not text:  # MP4's pauses
            return
        if self._to == "mov_text":
            text = MARKUP.sub("", text.decode("utf-8", "replace")).encode()[:65535]
            text = struct.pack(">H", len(text)) + text
        made = Packet(text)
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        made.time_base = packet.time_base
        yield made
