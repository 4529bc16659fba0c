"""A picture of a dataset that is opened when somebody looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import SaveError
from ..files import inside, native
from ..settings import Settings
from ..text import clean

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from ..images import Images, Picture


@dataclass(frozen=True)
class LazyImage:
    """A picture by its file; a cell of a frame.

    Attributes:
        folder: the dataset's; what leads out of it is not opened.
        name: relative to the folder, with slashes.
    """

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return native(self.folder / self.name)

    @property
    def data(self) -> bytes:
        """The provider's bytes.

        Raises:
            SaveError: the file is gone or cannot be read.
        """
        try:
            return inside(self.folder, self.name).read_bytes()
        except OSError as error:
            problem = f"{clean(self.path.name)} cannot be read: {error.strerror or type(error).__name__}"
        raise SaveError(problem, outcome="not_sent")

    def picture(self) -> Picture:
        """Its bytes, checked, with what they tell."""
        from ..images import Picture, check_picture

        data = self.data
        mime, width, height = check_picture(data, max_pixels=Settings.max_image_pixels)
        return Picture(data=data, mime=mime, width=width, height=height, path=str(self.path))

    def open(self) -> Image:
        """The picture, decoded."""
        return self._images().image

    def __str__(self) -> str:
        return self.path.name

    def _images(self) -> Images:
        from ..images import Images

        return Images([self.picture()])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:  # noqa: ARG002 - IPython's
        return self._images()._repr_mimebundle_()
