"""Where the numbers of a container's tables are: sizes, counts, offsets and times of MP4, Matroska and AVI files."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

BOXES_WITHIN = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"moof", b"traf", b"mvex"})
BOXES = frozenset({b"stts", b"stsz", b"stco", b"co64", b"stsc", b"ctts", b"stss", b"elst", b"mdhd", b"mvhd", b"tkhd"})
BOXES |= {b"stsd", b"hdlr", b"trun", b"tfhd", b"trex", b"ftyp", b"mdat"}
"""ISO/IEC 14496-12: boxes that hold boxes, and boxes whose fields are tables or times."""

ELEMENTS_WITHIN = frozenset({0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675, 0x1C53BB6B, 0xBB, 0xB7, 0xA0})
ELEMENTS_WITHIN |= {0x114D9B74, 0x4DBB}
"""RFC 9559: Segment, Info, Tracks, TrackEntry, Video, Cluster, Cues and their points, BlockGroup, SeekHead, Seek."""

MOST_FIELDS = 4000
"""So that a file of many thousand frames takes no longer than others."""


class Field(NamedTuple):
    """A number in a file: where it begins, how many bytes it has, and their order."""

    at: int
    length: int
    big_endian: bool


def fields(data: bytes) -> list[Field]:
    """The numbers of the tables of a file, or [] where its kind isn't known. A damaged file gives what can be found."""
    if data[:4] == b"RIFF":
        found = _riff(data, 0, len(data))
    elif data[:4] == b"\x1a\x45\xdf\xa3":
        found = _matroska(data, 0, len(data))
    elif data[4:8] in BOXES | {b"moov", b"free", b"wide"}:
        found = _boxes(data, 0, len(data))
    else:
        found = iter(())
    return [field for field, _ in zip(found, range(MOST_FIELDS), strict=False)]


def absurd(draw: Random, length: int, big_endian: bool) -> bytes:
    """A number that no writer means, in so many bytes: none, one, the largest, the sign's bit, or noise."""
    bits = 8 * length
    value = draw.choice((0, 1, 2**bits - 1, 2 ** (bits - 1), 2 ** (bits - 1) - 1, draw.getrandbits(bits)))
    return value.to_bytes(length, "big" if big_endian else "little")


def _boxes(data: bytes, start: int, end: int) -> Iterator[Field]:
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        kind = data[start + 4 : start + 8]
        yield Field(start, 4, True)
        stop = min(start + size, end) if size >= 8 else end
        if kind in BOXES_WITHIN:
            yield from _boxes(data, start + 8, stop)
        elif kind in BOXES and kind != b"mdat":
            yield from (Field(at, 4, True) for at in range(start + 8, stop - 3, 4))
        start = stop


def _matroska(data: bytes, start: int, end: int) -> Iterator[Field]:
    while start < end and data[start]:
        width = 9 - data[start].bit_length()
        kind = int.from_bytes(data[start : start + width], "big")
        at = start + width
        if at >= end or not data[at]:
            return
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
        unknown = size == (1 << 7 * length) - 1
        yield Field(at, length, True)
        inside = at + length
        stop = end if unknown else min(inside + size, end)
        if kind in ELEMENTS_WITHIN:
            yield from _matroska(data, inside, stop)
        elif 0 < stop - inside <= 8:
            yield Field(inside, stop - inside, True)
        elif kind in (0xA3, 0xA1):  # SimpleBlock, Block: track, time within the cluster, flags
            yield Field(inside, 1, True)
            yield Field(inside + 1, 2, True)
        start = stop


def _riff(data: bytes, start: int, end: int) -> Iterator[Field]:
    while start + 8 <= end:
        kind = data[start : start + 4]
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        stop = min(start + 8 + size, end)
        yield Field(start + 4, 4, False)
        if kind in (b"RIFF", b"LIST"):
            yield from _riff(data, start + 12, stop)
        elif kind in (b"avih", b"strh", b"strf", b"idx1", b"indx"):
            yield from (Field(at, 4, False) for at in range(start + 8, stop - 3, 4))
        start = stop + size % 2
