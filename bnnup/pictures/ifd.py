"""TIFF's directories, which EXIF consists of, too: tags whose values stay the bytes they are.

Adobe, "TIFF Revision 6.0" (1992), and "The BigTIFF File Format" for files beyond 4 GiB.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any, Literal

Order = Literal["<", ">"]  # "<" or ">", as struct has it

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DOUBLE, LONG8 = 1, 2, 3, 4, 5, 7, 12, 16
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
SIZES |= {16: 8, 17: 8, 18: 8}  # of BigTIFF
NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
NUMBERS |= {16: "Q", 17: "q", 18: "Q", 5: "I", 10: "i"}  # the last two in pairs
SHORT_END = 1 << 16
MOST = 1 << 28  # bytes of a value that are still read: no metadata is larger


@dataclass(frozen=True)
class TagValue:
    """A tag's value: its type by TIFF's number, and its bytes in the byte order of the whole."""

    type: int
    content: bytes

    @property
    def count(self) -> int:
        return len(self.content) // SIZES[self.type]

    def numbers(self, order: Order) -> list[Any]:
        """The numbers of any type that has them; a rational over 0 is left out."""
        if self.type not in NUMBERS:
            return []
        code = NUMBERS[self.type]
        size = struct.calcsize(order + code)
        found = struct.unpack(f"{order}{len(self.content) // size}{code}", self.content)
        if self.type not in (5, 10):
            return list(found)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [Fraction(over, under) for over, under in pairs if under]

    def swapped(self) -> "TagValue":
        """The same in the other byte order; what is UNDEFINED stays."""
        size = struct.calcsize("<" + NUMBERS.get(self.type, "B"))
        parts = (self.content[at : at + size] for at in range(0, len(self.content), size))
        return self if size == 1 else TagValue(self.type, b"".join(part[::-1] for part in parts))


def numbers(type: int, order: Order, *values: float) -> TagValue:
    """Numbers as a value of a type that holds them; struct.error if it does not."""
    return TagValue(type, struct.pack(f"{order}{len(values)}{NUMBERS[type]}", *values))


def rational(value: Fraction, order: Order) -> TagValue:
    """As near as 32 bits over 32 bits come; struct.error if it is negative or too large."""
    limit = max(((1 << 32) - 1) // (int(abs(value)) + 1), 1)
    near = value.limit_denominator(limit)
    return TagValue(RATIONAL, struct.pack(order + "II", near.numerator, near.denominator))


Directory = dict[int, "TagValue | Directory"]  # a directory stands where a pointer to it does


def swapped(directory: Directory) -> Directory:
    """A directory with those in it, in the other byte order."""
    return {
        tag: swapped(value) if isinstance(value, dict) else value.swapped()
        for tag, value in directory.items()
    }


Pointers = Mapping[int, Any]  # tags that point to directories, with those within these


@dataclass(frozen=True)
class TiffFile:
    """Where directories are read from: a file that can seek, byte order, and TIFF's two kinds."""

    file: IO[bytes]
    order: Order
    big: bool
    first: int
    end: int  # of the file

    def directory(self, place: int, pointers: Pointers) -> Directory:
        """The directory at an offset; what is garbled in it is left out."""
        count_code, entry, inline, code = ("Q", 20, 8, "Q") if self.big else ("H", 12, 4, "I")
        head = self._read(place, struct.calcsize("<" + count_code))
        if not head:
            return {}
        (count,) = struct.unpack(self.order + count_code, head)
        self.file.seek(place + len(head))
        table = self.file.read(min(count, SHORT_END) * entry)
        found: Directory = {}
        for start in range(0, len(table) - entry + 1, entry):
            tag, kind, length = struct.unpack_from(self.order + "HH" + code, table, start)
            size = SIZES.get(kind, 0) * length
            content = table[start + entry - inline : start + entry][:size]
            if size > inline:
                (start_of_value,) = struct.unpack(self.order + code, content)
                content = self._read(start_of_value, size)
            if size and len(content) == size:
                found.setdefault(tag, TagValue(kind, content))
        for tag, within in pointers.items():
            value = found.pop(tag, None)
            if isinstance(value, TagValue) and (numbers := value.numbers(self.order)):
                found[tag] = self.directory(int(numbers[0]), within)
        return {tag: value for tag, value in found.items() if value}

    def _read(self, place: int, size: int) -> bytes:
        """So many bytes at an offset, or none if the file ends before."""
        if size > MOST or not 0 <= place <= self.end - size:
            return b""
        self.file.seek(place)
        return self.file.read(size)


def open_tiff(file: IO[bytes]) -> TiffFile | None:
    """TIFF or EXIF in a file; None if it is neither."""
    file.seek(0)
    head = file.read(16)
    orders: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
    order = orders.get(head[:2])
    if order is None or len(head) < 8:
        return None
    (version,) = struct.unpack_from(order + "H", head, 2)
    end = file.seek(0, os.SEEK_END)
    if version == 43 and len(head) == 16:
        return TiffFile(file, order, True, struct.unpack_from(order + "Q", head, 8)[0], end)
    if version == 42:
        return TiffFile(file, order, False, struct.unpack_from(order + "I", head, 4)[0], end)
    return None


def head(order: Order, *, big: bool = False) -> bytes:
    """A file's first bytes, right after which its first directory lies."""
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, 16)
    return mark + struct.pack(order + "HI", 42, 8)


def serialized(directory: Directory, order: Order, place: int, *, big: bool = False) -> bytes:
    """A directory that begins at offset ``place``, its values, and the directories in it."""
    code, pointer, inline, entry, ends = ("Q", LONG8, 8, 20, 16) if big else ("I", LONG, 4, 12, 6)
    end = place + ends + entry * len(directory)
    table, rest = [], bytearray()
    for tag, value in sorted(directory.items()):
        if isinstance(value, dict):
            below = serialized(value, order, end + len(rest), big=big)
            value = TagValue(pointer, struct.pack(order + code, end + len(rest)))
            rest += below
        content = value.content
        if len(content) > inline:
            content = struct.pack(order + code, end + len(rest))
            rest += value.content + bytes(-len(value.content) % 2)
        table.append(struct.pack(order + "HH" + code, tag, value.type, value.count))
        table.append(content.ljust(inline, b"\0"))
    count = struct.pack(order + ("Q" if big else "H"), len(directory))
    return count + b"".join(table) + struct.pack(order + code, 0) + bytes(rest)
