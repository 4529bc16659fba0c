"""A frame with pictures in cells: a notebook shows them small, Arrow and parquet hold their bytes."""

from __future__ import annotations

import re
import secrets
from typing import Any

import pandas as pd

from ..extras import load_extra
from ..frames import Frame
from .rows import LazyImage
from .views import thumbnail


class PictureSeries(pd.Series):
    """A column of such a frame. Arrow gets the bytes of a picture and its name, as `datasets` writes them."""

    @property
    def _constructor(self) -> type[PictureSeries]:
        return PictureSeries

    def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002 - https://arrow.apache.org/docs/python/extending_types.html
        return load_extra("pyarrow").array(pd.Series(self.map(_stored)), type=type, from_pandas=True)


class PictureFrame(Frame):
    """A pandas frame with pictures of a dataset in cells."""

    @property
    def _constructor(self) -> type[PictureFrame]:
        return PictureFrame

    @property
    def _constructor_sliced(self) -> type[PictureSeries]:
        return PictureSeries

    def _repr_html_(self) -> str | None:
        mark, images = secrets.token_hex(8), list[LazyImage]()  # no text of a server can know the mark

        def marked(cell: Any) -> Any:
            if not isinstance(cell, LazyImage):
                return cell
            images.append(cell)
            return f"{mark}:{len(images) - 1};"

        page = Frame(self._with_pictures(marked))._repr_html_()
        return page and re.sub(f"{mark}:(\\d+);", lambda found: thumbnail(images[int(found[1])]), page)

    def to_parquet(self, *args: Any, **options: Any) -> Any:
        """As of any frame; a picture becomes its bytes and its name, as `datasets` writes them.

        All are held in memory at once; `Dataset.export` does not.
        """
        return Frame(self._with_pictures(_stored)).to_parquet(*args, **options)

    def _with_pictures(self, change: Any) -> Any:
        """The frame with changed pictures."""
        changed = self.copy(deep=False)
        for name in changed.columns:
            if any(isinstance(cell, LazyImage) for cell in self[name]):
                changed[name] = self[name].map(change, na_action="ignore")
        return changed


def _stored(cell: Any) -> Any:
    return {"bytes": cell.data, "path": cell.name} if isinstance(cell, LazyImage) else cell
