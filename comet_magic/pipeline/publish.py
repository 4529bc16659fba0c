"""What leaves a dataset: exports for training, their card, and the way to the Hub."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, cast

from ..extras import load_extra

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .exports import Exported, Format
    from .report import Dataset
    from .training import Crop, ImageFormat


class Published:
    """The part of a dataset's report that hands it to others."""

    folder: Path

    def _undecodable(self) -> tuple[str, ...]:
        """The names of the pictures, also such as went in, that cannot be decoded."""
        from .export_rows import undecodable

        return tuple(undecodable(self.folder))

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

    def card(
        self,
        to: str | os.PathLike[str] | None = None,
        *,
        license: str | None = None,  # noqa: A002 - the word for it
        title: str | None = None,
        language: str | None = None,
        about: str | None = None,
        replace: bool = False,
    ) -> str:
        """Write a dataset card, README.md: contents, splits, models, prices, dates, how it was made, limits, a strip.

        Args:
            to: an export of this dataset, a folder or an address; None writes the card of the dataset's own folder.
            license: its id on the Hub, such as `cc-by-4.0`; without one the card says "not set" and a warning comes.
            title: of the dataset; by default the name of its folder.
            language: of the prompts, such as `en`.
            about: words of your own, as Markdown.
            replace: whether to write over a README.md that was written or changed by hand.

        Returns:
            Where the README.md is.

        Raises:
            ConfigurationError: there is no export of this dataset, or a README.md of somebody's own.
            SaveError: a file cannot be written.
        """
        from .card import Card, write_card

        card = Card(title or self.folder.name, license, language, about)
        return write_card(cast("Dataset", self), to, card, replace=replace)

    def push_to_hub(
        self,
        name: str,
        export: str | os.PathLike[str] | None = None,
        *,
        private: bool = True,
        token: str | None = None,
        license: str | None = None,  # noqa: A002 - the word for it
    ) -> str:
        """Upload an export and its card to the Hugging Face Hub, as a private dataset unless told otherwise.

        Only files of the export, its manifest, README.md and the strip of the card are uploaded; each is compared
        with its hash first. A public dataset of that name is not used unless `private=False` says so.

        Args:
            name: `name` or `owner/name`.
            export: the folder of an export of this dataset; None makes one for this call: the rows that are done,
                as parquet, with a card.
            private: whether only its owner sees it.
            token: of the Hub; None takes the one that `hf auth login` keeps.
            license: for the card, if one is made here.

        Returns:
            The address of its page.

        Raises:
            ConfigurationError: `huggingface_hub` is not installed, or the name or the folder cannot be used.
            SaveError: the Hub refuses, or cannot be reached.
        """
        from .hub import push_export

        load_extra("huggingface_hub", "datasets")  # looked for before anything is exported
        with tempfile.TemporaryDirectory() as folder:
            if export is None:
                export = folder
                self.export(folder, format="parquet", where="done")
                self.card(folder, license=license)
            return push_export(self.folder, export, name, private=private, token=token)
