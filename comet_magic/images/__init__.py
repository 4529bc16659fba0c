"""From bytes to PIL pictures, and how they show and save themselves."""

from ..formats import check_picture
from .display import contact_sheet
from .paste_back import PasteBack, paste_back
from .picture import Picture, decoded, fitting, preview
from .prepare import input_rules, prepare_inputs
from .result import Images, bundle, caption, cost_words
from .saving import obstacle, read_metadata
