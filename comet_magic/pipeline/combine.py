"""Tables of words: every combination of them, or some that are drawn."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from itertools import accumulate
from itertools import product as combinations
from math import isfinite, prod
from random import Random
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, InvalidRequestError
from ..extras import load_extra
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ROWS = 10_000_000


def product(**columns: Any) -> Any:
    """Every combination of words as a table for `generate_dataset`; the last column changes fastest.

    Args:
        columns: the words of each column; a single text is one word, of a mapping its keys count.

    Returns:
        A pandas frame; a list of mappings where pandas is not installed.

    Raises:
        InvalidRequestError: a column is empty, or there are more than 10,000,000 rows.

    Example:
        >>> import comet_magic as cm
        >>> len(cm.product(animal=["cat", "dog"], style=["ink", "watercolor", "oil"]))
        6
    """
    values = {name: list(_weights(name, given)) for name, given in columns.items()}
    _check_size(prod(map(len, values.values())) if values else 0)
    return _table(values, combinations(*values.values()))


def sample(n: int, *, sample_seed: int = 0, **columns: Any) -> Any:
    """Rows of words that are drawn at random, each column by itself, as a table for `generate_dataset`.

    The same seed gives the same rows in every run, so a dataset made of them can be gone on with.

    Args:
        n: how many rows.
        sample_seed: another one gives other rows.
        columns: the words of each column, each as likely as another; or a mapping of words to their weights, such as
            `{"cat": 3, "dog": 1}`.

    Returns:
        A pandas frame; a list of mappings where pandas is not installed.

    Raises:
        InvalidRequestError: a column is empty, a weight is not a number from 0 up, or n is not 1 to 10,000,000.

    Example:
        >>> import comet_magic as cm
        >>> table = cm.sample(100, sample_seed=7, animal={"cat": 3, "dog": 1}, style=["ink", "oil"])
        >>> len(table), list(table.columns)
        (100, ['animal', 'style'])
    """
    if type(n) is not int:
        raise InvalidRequestError(f"n is {clean(repr(n), limit=40)}; it must be a whole number", param="n")
    _check_size(n if columns else 0)
    random = Random(sample_seed)  # noqa: S311 - not for secrets
    drawn = {}
    for name, given in columns.items():
        weights = _weights(name, given)
        words, ends = list(weights), list(accumulate(weights.values()))
        # Python promises the same numbers of `random` for a seed in all versions, not of `choices`.
        drawn[name] = [words[bisect(ends, random.random() * ends[-1], hi=len(ends) - 1)] for _ in range(n)]
    return _table(drawn, zip(*drawn.values(), strict=True))


def _weights(name: str, given: Any) -> dict[Any, float]:
    """Each word of a column with its weight."""
    if isinstance(given, Mapping):
        weights = dict(given)
        numbers = all(
            isinstance(weight, int | float) and isfinite(weight) and weight >= 0
            for weight in weights.values()
        )
        if not numbers or not any(weights.values()):
            raise InvalidRequestError(
                f"the weights of {name} must be numbers from 0 up, one of them above 0", param=name
            )
        return weights
    words = [given] if isinstance(given, str) or not hasattr(given, "__iter__") else list(given)
    if not words:
        raise InvalidRequestError(f"{name} is empty; give it at least one word", param=name)
    return dict.fromkeys(words, 1.0)


def _check_size(rows: int) -> None:
    if not 1 <= rows <= MOST_ROWS:
        raise InvalidRequestError(f"there would be {rows} rows; it must be 1 to {MOST_ROWS:,}", param="n")


def _table(columns: Mapping[str, Any], rows: Iterable[tuple[Any, ...]]) -> Any:
    try:
        load_extra("pandas")
    except ConfigurationError:
        return [dict(zip(columns, row, strict=True)) for row in rows]
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))
