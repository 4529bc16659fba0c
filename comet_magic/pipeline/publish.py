"""What leaves a dataset: exports for training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .exports import Exported, Format
    from .training import Crop, ImageFormat


class Published:
    """The part of a dataset's report that hands it to others."""

    folder: Path

    def export(
        self,
        to: str | os.PathLike[str],
        *,
        format: Format,  # noqa: A002 - the word for it
        where: Any = None,
        columns: Sequence[str] | None = None,
        size: int | None = None,
        crop: Crop = "center",
        image_format: ImageFormat | None = None,
        quality: int = 90,
        embed: bool = False,
        split: Mapping[str, float] | str | None = None,
        split_by: str | None = None,
        shard_size: int | None = None,
    ) -> Exported:
        """Write the dataset in another format; the same dataset gives the same bytes.

        Each picture is decoded on the way; one that cannot be, or is not what was stored, is named and its row left
        out. A later export to the same place writes only files whose rows or options have changed and removes those
        that are not needed any more; one that was killed is gone on with. What others put there is left as it is.

        Args:
            to: a folder, or its address for fsspec (`s3://bucket/name`, `memory://name`).
            format: `parquet` (picture bytes and a schema that loads as `Image`), `webdataset` (tar shards of the
                rows that have a picture), or `folder` (pictures and `metadata.jsonl`).
            where: which rows: a status such as `done`, a function of a row's mapping, or a list of booleans.
            columns: to keep beside the pictures; None keeps all.
            size: edge of the pictures in pixels, 16 to 16384; None leaves the bytes as they came.
            crop: `center` cuts the middle out, `pad` adds white borders, `none` keeps the shape.
            image_format: `webp`, `jpeg` or `png`; None keeps each picture's.
            quality: of webp and jpeg, 1 to 100.
            embed: whether each picture's file says its prompt, model, options and request id, as `recipe` reads them.
            split: shares such as `{"train": 0.9, "test": 0.1}` by the hash of prompt and input pictures, so that more
                rows move none; or a column with the name of each row's split.
            split_by: a column whose equal values stay in one split.
            shard_size: rows of parquet and webdataset files: each is for so many successive rows of the dataset, by
                default 1,000. Rows that are not chosen leave gaps, so that a change writes one file anew.

        Returns:
            The names of its files, in order; its attributes say what was written, removed and left out.

        Raises:
            ConfigurationError: an option cannot be used, a library is missing, or the place holds files of others.
            SaveError: a picture or a file cannot be read or written.
        """
        from .export_rows import Contents
        from .exports import export_dataset
        from .training import PictureForm, RowChoice, Splits

        form = PictureForm(size=size, crop=crop, image_format=image_format, quality=quality)
        wanted = where if where is None or isinstance(where, str) or callable(where) else tuple(where)
        choice = RowChoice(where=wanted, columns=None if columns is None else tuple(columns))
        contents = Contents(self.folder, form, choice, Splits(split, split_by), embed)
        return export_dataset(to, contents, form=format, shard_size=shard_size)
