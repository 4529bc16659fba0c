"""From bytes to checked PIL pictures, and how they show and save themselves."""

from .check import check_picture
from .picture import Picture
from .preview import preview
from .result import Images, bundle, caption
from .saving import obstacle

__all__ = ["Images", "Picture", "bundle", "caption", "check_picture", "obstacle", "preview"]
