"""A clip at a glance: some of its frames side by side, each with its time."""

from __future__ import annotations

from math import ceil

from PIL import Image, ImageDraw, ImageFont

from savi.types import Frames
from savi.video.sampling import midpoint_indices

GAP = 4
CAPTION = 16
"""Heights and distances in pixels."""


def contact_sheet(frames: Frames, columns: int = 8, count: int = 8, width: int = 1024) -> Image.Image:
    """`count` frames in rows of `columns`, in the order of time, below each its seconds from the start of the clip.

    The frames are chosen by the midpoint rule, or all of them where there are fewer. width: pixels, of the sheet.
    """
    total = len(frames.timestamps)
    chosen = range(total) if total <= count else midpoint_indices(total, count)
    columns = min(columns, len(chosen))
    height, breadth = frames.pixels.shape[1:3]
    cell = max((width - GAP * (columns + 1)) // columns, 1)
    cell_height = max(round(cell * height / breadth), 1)
    row_height = cell_height + CAPTION + GAP
    sheet = Image.new("RGB", (width, GAP + ceil(len(chosen) / columns) * row_height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=CAPTION - 4)
    for place, index in enumerate(chosen):
        left = GAP + place % columns * (cell + GAP)
        top = GAP + place // columns * row_height
        picture = Image.fromarray(frames.pixels[index].numpy())
        sheet.paste(picture.resize((cell, cell_height), Image.Resampling.BILINEAR), (left, top))
        draw.text((left, top + cell_height), f"{frames.timestamps[index]:.2f} s", fill="#444444", font=font)
    return sheet
