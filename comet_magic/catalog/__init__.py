"""The one table of models: what each takes, answers with and costs; and the default model.

    MODELS, DEFAULT_MODEL, WIRE_PARAMETERS, SIZE_WORDS, RATIOS
    find(model_id) -> Model           by id, snapshot or family; else an unknown model
    resolve_size(model, "16:9") -> "1536x864"
    edges("1536x864") -> (1536, 864)
    output_tokens(model, size, quality) -> int | None
    suggest(word, words) -> the word that was probably meant, or None
    model_table() -> the table as Markdown; square_price(model) -> what one square picture costs

    model.parameters["quality"] is a rule: admits(value), str(rule), choices(), nearest(value), kind.

Nothing here does I/O or depends on the date.
"""

from .lookup import DEFAULT_MODEL, RATIOS, SIZE_WORDS, WIRE_PARAMETERS, find, output_tokens, resolve_size
from .markdown import model_table, square_price
from .model import Model
from .prices import Tariff
from .rules import Boolean, Choice, FreeSize, Interval, Rule, SizeList, Text, edges, suggest
from .table import MODELS
