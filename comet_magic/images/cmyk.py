"""JPEGs in printing colours, as RGB. A module of its own: importing it imports Pillow."""

from __future__ import annotations

from typing import Any

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile


class PrintedJpeg(JpegImageFile):
    """A CMYK JPEG that is an RGB picture; its pixels are decoded and converted when they are first needed.

    Its colour profile is left out: it describes the printing colours, which the pixels no longer have.
    """

    def _open(self) -> None:
        super()._open()
        self._mode = "RGB"
        self.info.pop("icc_profile", None)

    def load(self) -> Any:
        """Decode the pixels, once."""
        if self.tile:
            self._mode = "CMYK"  # as the decoder gives them
            try:
                super().load()
                self.im = self.im.convert("RGB", 0)
            finally:
                self._mode = "RGB"
        return super().load()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle a plain picture of Pillow's, which needs nothing of ours to be read."""
        return Image.frombytes, (self.mode, self.size, self.tobytes())
