"""Damage to the bytes of a video file, as disks, downloads and hostile hands do it. Pure: bytes and draws to bytes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tools.faults.fields import absurd, fields

Mutation = Callable[[bytes, Random], bytes]

HEAD = 512
"""Bytes at the start of a file that hold its signature and its first tables."""


def flip_bits(data: bytes, draw: Random) -> bytes:
    """Between 1 and 64 bits, anywhere."""
    changed = bytearray(data)
    for _ in range(2 ** draw.randint(0, 6)):
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def damage_head(data: bytes, draw: Random) -> bytes:
    """Random bytes in the first `HEAD`."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 16)):
        changed[draw.randrange(min(HEAD, len(data)))] = draw.randrange(256)
    return bytes(changed)


def cut(data: bytes, draw: Random) -> bytes:
    """The end is missing, or the start, or a piece in between."""
    first, second = sorted(draw.sample(range(len(data) + 1), 2))
    return draw.choice((data[:first], data[second:], data[:first] + data[second:]))


def zero(data: bytes, draw: Random) -> bytes:
    """A stretch of zeros, as a file has it whose blocks were never written."""
    start, length = _stretch(data, draw)
    while not any(data[start : start + length]) and any(data):  # an AVI file is padded with zeros
        start, length = _stretch(data, draw)
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def insert(data: bytes, draw: Random) -> bytes:
    """Bytes too many: noise, or a piece of the file once more."""
    at = draw.randrange(len(data) + 1)
    start, length = _stretch(data, draw)
    extra = draw.choice((draw.randbytes(length), data[start : start + length]))
    return data[:at] + extra + data[at:]


def shuffle_blocks(data: bytes, draw: Random) -> bytes:
    """Blocks in another order, behind an intact start or from the first byte."""
    size = min(2 ** draw.randint(5, 12), len(data) // 4)
    kept = draw.choice((0, size))
    blocks = [data[at : at + size] for at in range(kept, len(data), size)]
    for _ in range(draw.randint(1, 8)):
        one, other = draw.randrange(len(blocks)), draw.randrange(len(blocks))
        blocks[one], blocks[other] = blocks[other], blocks[one]
    return data[:kept] + b"".join(blocks)


def absurd_tables(data: bytes, draw: Random) -> bytes:
    """Between 1 and 4 fields of the container's tables, with values that no writer means."""
    known = fields(data)
    if not known:
        return flip_bits(data, draw)
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at, length, big_endian = draw.choice(known)
        changed[at : at + length] = absurd(draw, length, big_endian)
    return bytes(changed)


def _stretch(data: bytes, draw: Random) -> tuple[int, int]:
    """A place and a length between 1 and 4096 bytes: as many short ones as long ones."""
    return draw.randrange(len(data)), min(2 ** draw.randint(0, 12), len(data))


MUTATIONS: dict[str, Mutation] = {
    "bits": flip_bits,
    "head": damage_head,
    "cut": cut,
    "zeros": zero,
    "insertion": insert,
    "shuffled blocks": shuffle_blocks,
    "absurd tables": absurd_tables,
}
