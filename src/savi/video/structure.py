"""The length of a file by its own headers, for faults that the demuxers let pass in silence."""

from __future__ import annotations

import os
from pathlib import Path

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT_ID = b"\x18\x53\x80\x67"
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_GIF_TRAILER = b"\x3b"


def shortfall(path: Path) -> str | None:
    """Why the file is shorter than it says, or None where it is whole or its kind does not tell.

    MP4 and MOV: media without the index (moov), which is often written last. Matroska, WebM, ASF
    and WMV: the declared length. GIF: the end mark. FFmpeg opens all but the first kind and gives what is left.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(65536)
        if head[4:8] in _FIRST_BOXES:
            cut = _index_is_cut(file.fileno(), size)
            return "its index (moov) is missing or cut off" if cut else None
        if head.startswith(b"GIF8"):
            tail = os.pread(file.fileno(), 64, max(0, size - 64))
            return None if tail.rstrip(b"\0").endswith(_GIF_TRAILER) else "it has no end mark"
    declared = None
    if head.startswith(_EBML_MAGIC):
        declared = _segment_end(head)
    elif head.startswith(_ASF_HEADER):
        declared = _asf_size(head)
    return f"{declared - size} bytes are missing" if declared and declared > size else None


def _index_is_cut(descriptor: int, size: int) -> bool:
    """Whether the top-level boxes (ISO/IEC 14496-12, 4.2) reach the end of the file before a whole moov."""
    offset = 0
    while offset + 8 <= size:
        header = os.pread(descriptor, 16, offset)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # "to the end of the file"
            length = size - offset
        if length < 8:
            return False  # not a box: it can't be told
        offset += length
        if kind == b"moov":
            break
    return offset > size or kind != b"moov"


def _segment_end(head: bytes) -> int | None:
    """Where the Segment of a Matroska file ends, in bytes (RFC 8794, RFC 9559); None where it isn't told."""
    header_length, after = _vint(head, len(_EBML_MAGIC))
    start = after + (header_length or 0)
    if head[start : start + 4] != _SEGMENT_ID:
        return None
    length, data = _vint(head, start + 4)
    return None if length is None else data + length


def _asf_size(head: bytes) -> int | None:
    """The size of the whole file by the File Properties Object (ASF specification, 3.2); 0 for a live stream."""
    at = head.find(_ASF_FILE_PROPERTIES)
    return None if at < 0 else int.from_bytes(head[at + 40 : at + 48], "little")


def _vint(data: bytes, offset: int) -> tuple[int | None, int]:
    """An EBML variable-size integer and the offset behind it; None for the value that means "unknown"."""
    if offset >= len(data) or data[offset] == 0:
        return None, offset + 1
    width = 9 - data[offset].bit_length()
    value = int.from_bytes(data[offset : offset + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), offset + width
