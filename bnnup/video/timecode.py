"""Timecodes: the hour, minute, second and frame at which a recording says that it begins."""

import re
from fractions import Fraction

DROPPED = 2  # numbers that drop-frame timecodes of 30 frames a second leave out each minute


def moved(timecode: str, rate: Fraction, frames: int, fields: int = 1) -> str:
    """The timecode so many frames later, of frames that become as many pictures as ``fields``.

    Drop-frame timecodes, which have a semicolon, leave out numbers at the beginning of all
    minutes but every tenth, so that they keep to the clock at 29.97 frames a second. What is
    no timecode stays what it is.
    """
    match = re.fullmatch(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d+)", timecode.strip())
    a_second = round(rate)
    if match is None or not a_second:
        return timecode
    hours, minutes, seconds, number = (int(match[i]) for i in (1, 2, 3, 5))
    dropped = DROPPED * a_second // 30 if match[4] != ":" else 0
    minutes += 60 * hours
    count = a_second * (60 * minutes + seconds) + number
    count = (count - dropped * (minutes - minutes // 10) + frames) * fields
    a_second, dropped = a_second * fields, dropped * fields
    count %= 24 * 6 * (600 * a_second - 9 * dropped)
    tens, rest = divmod(count, 600 * a_second - 9 * dropped)
    count += dropped * 9 * tens
    if rest > dropped:
        count += dropped * ((rest - dropped) // (60 * a_second - dropped))
    seconds, number = divmod(count, a_second)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{match[4]}{number:02}"


def of_cinema(timecode: str) -> str:
    """The timecode of 24 frames a second that a film of 30 has when telecine is undone."""
    match = re.fullmatch(r"(\d\d:\d\d:\d\d)[:;.](\d\d)", timecode)
    return f"{match[1]}:{int(match[2]) * 4 // 5:02}" if match else timecode
