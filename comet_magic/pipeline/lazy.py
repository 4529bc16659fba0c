"""A picture of a dataset that is opened when somebody looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..files import native, sniff

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image


@dataclass(frozen=True)
class LazyImage:
    """A picture by its file; a cell of a frame."""

    path: Path

    @property
    def data(self) -> bytes:
        """The provider's bytes."""
        return native(self.path).read_bytes()

    @property
    def mime(self) -> str:
        """Its kind, by its first bytes."""
        with native(self.path).open("rb") as file:
            return sniff(file.read(64)) or "application/octet-stream"

    def open(self) -> Image:
        """The picture, checked and decoded."""
        image: Image = self._images().image
        return image

    def __str__(self) -> str:
        return self.path.name

    def _images(self) -> Any:
        from ..images import Images, Picture, check_picture
        from ..settings import Settings

        data = self.data
        mime, width, height = check_picture(data, max_pixels=Settings.max_image_pixels)
        return Images([Picture(data=data, mime=mime, width=width, height=height, path=str(self.path))])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:  # noqa: ARG002 - IPython's
        return self._images()._repr_mimebundle_()
