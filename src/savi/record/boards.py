"""Weights & Biases and TensorBoard, as far as they show more than numbers."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from savi.record.dashboards import Board, Cell, Table
from savi.video.preview import Preview, VideoFormat


class WandbBoard(Board):
    """run: wandb's."""

    plays: VideoFormat = "mp4"

    def __init__(self, run: Any) -> None:
        self.run = run

    def show(self, table: Table, previews: Mapping[str, Preview], round: int) -> None:
        # It takes seconds to import, and most runs go without.
        import wandb

        media = {
            clip: (wandb.Image(one.sheet), wandb.Video(BytesIO(one.videos[self.plays]), format=self.plays))
            for clip, one in previews.items()
        }
        rows = wandb.Table(columns=["clip", "frames", "video", *table.columns])
        for clip, cells in table.rows:
            rows.add_data(clip, *media.get(clip, (None, None)), *cells)
        self.run.log({table.name: rows, "round": round})

    def alert(self, title: str, text: str) -> None:
        self.run.alert(title=title, text=text, level="WARN")


class TensorBoard(Board):
    """writer: a SummaryWriter. A table becomes a text and a moving picture per clip, below `<table>/<clip>`."""

    plays: VideoFormat = "gif"

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def show(self, table: Table, previews: Mapping[str, Preview], round: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for clip in dict.fromkeys(clip for clip, _ in table.rows):
            tag = f"{table.name}/{clip}"
            lines = [table.columns, ["---"] * len(table.columns), *(cells for of, cells in table.rows if of == clip)]
            self.writer.add_text(tag, "\n".join("|".join(map(_markdown, line)) for line in lines), round)
            if clip in previews:
                # add_video() takes moviepy, and only to write such a GIF.
                image = Summary.Image(encoded_image_string=previews[clip].videos[self.plays], colorspace=3)
                value = Summary.Value(tag=f"{tag}/video", image=image)
                self.writer._get_file_writer().add_summary(Summary(value=[value]), round)

    def alert(self, title: str, text: str) -> None:
        self.writer.add_text("alerts", f"**{title}** {text}")


def _markdown(cell: Cell) -> str:
    return str("" if cell is None else cell).replace("\n", "<br>").replace("|", "\\|")
