"""Mutations of files that know how the files are made, so that more than the first check is met.

A container is taken apart into pairs of a tag and its content, whose lengths and checksums
are made anew when it is put together again.
"""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Parts = list[tuple[bytes, bytes]]

LIMITS = [1 << bits for bits in (3, 7, 8, 12, 15, 16, 20, 24, 31, 32, 63, 64)]
NUMBERS = [0, 1, 2, 3, *(limit + step for limit in LIMITS for step in (-1, 0, 1))]
VALUES: list[Any] = [*NUMBERS, -1, 0.5, 1e308, float("inf"), float("nan"), None, True, "", [], {}]
PNG, RIFF = b"\x89PNG\r\n\x1a\n", b"RIFF"
LARGEST = 1 << 20  # bytes that a mutation may grow a file to


def mutate(random: Random, content: bytes, other: bytes) -> bytes:
    """``content`` with a few mutations, some of which take from ``other``."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        change = _change_structure if random.random() < 0.7 else _change_bytes
        content = change(random, content, other)
    return content[:LARGEST]


def _change_bytes(random: Random, content: bytes, other: bytes) -> bytes:
    if not content:
        return other
    # What decides most stands in front.
    place = random.randrange(min(len(content), random.choice((16, 64, 512, len(content)))))
    length = random.choice((1, 1, 2, 4, 8, random.randrange(1, 64)))
    rest = content[place + length :]
    start = random.randrange(len(other) + 1)
    middle = random.choice(
        (
            bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :][: length - 1],
            _number(random, min(length, 8)),
            random.randbytes(length),
            content[place : place + length] * random.choice((0, 2, 2, 300)),
            other[start : start + length],
            b"",
        )
    )
    if random.random() < 0.05:
        return content[:place] + (other[start:] if random.random() < 0.5 else b"")
    return content[:place] + middle + rest


def _number(random: Random, length: int) -> bytes:
    value = random.choice(NUMBERS) & (1 << 8 * length) - 1
    return value.to_bytes(length, random.choice(("little", "big")))


def _change_structure(random: Random, content: bytes, other: bytes) -> bytes:
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _change_directory(random, content)
    for split, join in CONTAINERS:
        try:
            parts, others = split(content), split(other)
        except (struct.error, ValueError, IndexError):
            continue
        if parts:
            return join(_change_parts(random, parts, others or parts))
    return _change_bytes(random, content, other)


def _change_parts(random: Random, parts: Parts, others: Parts) -> Parts:
    place = random.randrange(len(parts))
    tag, content = parts[place]
    match random.randrange(10):
        case 0:
            del parts[place]
        case 1:
            parts.insert(random.randrange(len(parts)), (tag, content))
        case 2:
            parts.insert(place, random.choice(others))
        case 3:
            there = random.randrange(len(parts))
            parts[place], parts[there] = parts[there], parts[place]
        case 4:
            parts[place] = random.choice(others)[0], content
        case 5:
            parts[place] = tag, content * random.choice((2, 3, 100))
        case 6 if tag == b"IDAT":
            parts[place] = tag, _change_packed(random, content)
        case _:
            parts[place] = tag, _change_bytes(random, content, random.choice(others)[1])
    return parts


def _change_packed(random: Random, content: bytes) -> bytes:
    try:
        plain = zlib.decompress(content)
    except zlib.error:
        return content
    return zlib.compress(_change_bytes(random, plain, plain))


def _split_png(content: bytes) -> Parts:
    if not content.startswith(PNG):
        return []
    parts, place = [], len(PNG)
    while place + 8 <= len(content):
        length, tag = struct.unpack_from(">I4s", content, place)
        parts.append((tag, content[place + 8 : place + 8 + length]))
        place += length + 12
    return parts


def _join_png(parts: Parts) -> bytes:
    def chunk(tag: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(tag + content)
        return struct.pack(">I", len(content)) + tag + content + struct.pack(">I", checksum)

    return PNG + b"".join(chunk(*part) for part in parts)


def _split_jpeg(content: bytes) -> Parts:
    """Segments; what begins with the first scan is a part by itself."""
    if not content.startswith(b"\xff\xd8\xff"):
        return []
    parts, place = [], 2
    while content[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", content, place + 2)
        parts.append((content[place : place + 2], content[place + 4 : place + 2 + length]))
        place += 2 + max(length, 2)
    return [*parts, (b"", content[place:])]


def _join_jpeg(parts: Parts) -> bytes:
    def segment(tag: bytes, content: bytes) -> bytes:
        return tag + struct.pack(">H", min(len(content) + 2, 0xFFFF)) + content if tag else content

    return b"\xff\xd8" + b"".join(segment(*part) for part in parts)


def _split_riff(content: bytes) -> Parts:
    if not content.startswith(RIFF):
        return []
    parts, place = [(b"", content[8:12])], 12
    while place + 8 <= len(content):
        tag, length = struct.unpack_from("<4sI", content, place)
        parts.append((tag, content[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    return parts


def _join_riff(parts: Parts) -> bytes:
    def chunk(tag: bytes, content: bytes) -> bytes:
        return tag + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    body = b"".join(chunk(*part) if part[0] else part[1] for part in parts)
    return RIFF + struct.pack("<I", len(body)) + body


def _split_boxes(content: bytes) -> Parts:
    """Those of ISO files, which AVIF, HEIC, JPEG 2000 and JPEG XL are."""
    if content[4:8] not in (b"ftyp", b"jP  ", b"JXL "):
        return []
    parts, place = [], 0
    while place + 8 <= len(content):
        length, tag = struct.unpack_from(">I4s", content, place)
        length = len(content) - place if length < 8 else length
        parts.append((tag, content[place + 8 : place + length]))
        place += length
    return parts


def _join_boxes(parts: Parts) -> bytes:
    return b"".join(struct.pack(">I", len(content) + 8) + tag + content for tag, content in parts)


CONTAINERS: tuple[tuple[Callable[[bytes], Parts], Callable[[Parts], bytes]], ...] = (
    (_split_png, _join_png),
    (_split_jpeg, _join_jpeg),
    (_split_riff, _join_riff),
    (_split_boxes, _join_boxes),
)


def _change_directory(random: Random, content: bytes) -> bytes:
    """A field of an entry in the first directory of a TIFF."""
    order = "<" if content[:1] == b"I" else ">"
    large = content[2:4] in (b"+\0", b"\0+")
    try:
        (place,) = struct.unpack_from(order + ("Q" if large else "I"), content, 8 if large else 4)
        (count,) = struct.unpack_from(order + ("Q" if large else "H"), content, place)
    except (struct.error, OverflowError):  # the latter beyond 2^63
        return content
    width = 20 if large else 12
    entry = place + (8 if large else 2) + width * random.randrange(count % 1000 + 1)
    long = width // 2 - 2  # bytes of a count, or of a value
    offset, length = random.choice(((0, 2), (2, 2), (4, long), (4 + long, long), (4 + long, long)))
    value = (random.choice(NUMBERS) & (1 << 8 * length) - 1).to_bytes(
        length, "little" if order == "<" else "big"
    )
    return content[: entry + offset] + value + content[entry + offset + length :]


# Trees of JSON


def change_tree(random: Random, tree: Any) -> Any:
    """A tree with one of its values or keys changed, left out, copied or exchanged."""
    places = [place for place in _places(tree) if place]
    if not places:
        return random.choice(VALUES)
    parent, key = _parent(tree, random.choice(places))
    other = _parent(tree, random.choice(places))
    match random.randrange(7):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, list):
            parent.insert(key, json.loads(json.dumps(parent[key])))
        case 2:
            parent[key] = json.loads(json.dumps(other[0][other[1]]))
        case 3 if isinstance(parent[key], int):
            parent[key] += random.choice((-1, 1))
        case 4 if isinstance(parent, dict):
            parent[random.choice(("", "op", "name", str(other[1])))] = parent.pop(key)
        case _:
            parent[key] = random.choice(VALUES)
    return tree


def _places(tree: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from _places(tree[key], (*place, key))


def _parent(tree: Any, place: tuple[Any, ...]) -> tuple[Any, Any]:
    for key in place[:-1]:
        tree = tree[key]
    return tree, place[-1]
