"""From bytes to PIL pictures, and how they show and save themselves."""

from ..formats import check_picture
from .picture import Picture, decoded, preview
from .result import Images, bundle, caption, cost_words
from .saving import obstacle, read_metadata
