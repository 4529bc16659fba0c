"""The README.md of a dataset for those who get it: what it holds, how it was made, what it cost, and its limits."""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import BadImageError, ConfigurationError, SaveError
from ..money import dollars
from ..text import clean, counted
from .export_manifest import Manifest, dataset_id, read_manifest
from .export_places import Folder, place_at
from .rows import ROW_STATUSES, LazyImage, in_words

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from .export_places import Place
    from .report import Dataset

README = "README.md"
STRIP = ".card/sample.jpg"  # hidden, so that no reader of datasets takes it for a picture of the dataset
_EDGE = 256  # pixels of a picture of the strip
_FILES = {"parquet": "{}-*.parquet", "webdataset": "{}-*.tar", "folder": "{}/**"}
_MARK = re.compile(r"<!-- written by comet_magic, ([0-9a-f]{16}) -->\n\Z")
_LIMITS = """\
- Every picture is synthetic. None shows an event that took place, and people in them do not exist unless a prompt or
  an input picture names one.
- Nobody has checked that the pictures show what their prompts say, beyond what is written above.
- Models repeat the biases of what they were trained on, and write texts and draw hands badly.
- Who uses the pictures also keeps to the terms of the models' providers."""


def configs_text(form: str, splits: Sequence[str]) -> str:
    """The head of a README.md by which `load_dataset` finds the files of each split.

    https://huggingface.co/docs/hub/datasets-manual-configuration
    """
    return f"---\n{_configs(form, splits)}---\n"


def _configs(form: str, splits: Sequence[str]) -> str:
    if not splits:
        return ""
    lines = [f'  - split: {split}\n    path: "{_FILES[form].format(split)}"\n' for split in splits]
    return f"configs:\n- config_name: default\n  data_files:\n{''.join(lines)}"


@dataclass
class _Model:
    """What one model made."""

    pictures: int = 0
    cost: int | None = 0
    first: str = ""
    last: str = ""
    parameters: Counter[str] = field(default_factory=Counter)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a row that is done."""
        cost, created = record["cost"], record["created"] or ""
        self.pictures += 1
        self.cost = None if self.cost is None or cost is None else self.cost + round(cost * 1_000_000)
        self.first = min(filter(None, (self.first, created)), default="")
        self.last = max(self.last, created)
        self.parameters[record["parameters"] or "{}"] += 1


@dataclass
class _Made:
    """How the rows of a dataset were made."""

    models: dict[str, _Model] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    columns: tuple[str, ...] = ()

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a row."""
        self.columns = self.columns or tuple(record)
        self.counts[record["outcome"]] += 1
        if record["outcome"] == "done":
            self.models.setdefault(record["model"] or "not known", _Model()).add(record)


@dataclass(frozen=True)
class Card:
    """The parts of a card that a person gives.

    Attributes:
        title: of the dataset.
        license: its id, such as `cc-by-4.0`; None if it is not set.
        language: of the prompts, such as `en`.
        about: words of the person who made it, as Markdown.
    """

    title: str
    license: str | None = None
    language: str | None = None
    about: str | None = None

    def text(self, made: _Made, manifest: Manifest, spent: int, *, strip: bool) -> str:
        """The whole README.md."""
        rows = sum(file.rows or 0 for file in manifest.files.values()) or made.counts["done"]
        parts = [
            f"---\n{self._head(manifest, rows)}---\n\n# {_words(self.title)}\n",
            f"![Some of the pictures]({STRIP})\n" if strip else "",
            f"{self.about}\n" if self.about else "",
            f"{counted(rows, 'row')} of synthetic pictures, made from prompts by {_names(made.models)}.\n",
            _contents(made, manifest),
            _how(made, spent),
            f"## Limits\n\n{_LIMITS}\n",
            f"## License\n\n{_words(self.license) if self.license else 'not set'}\n",
        ]
        text = "\n".join(filter(None, parts))
        return f"{text}\n<!-- written by comet_magic, {_digest(text + chr(10))} -->\n"

    def _head(self, manifest: Manifest, rows: int) -> str:
        given = {"license": self.license, "language": self.language, "pretty_name": self.title}
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in given.items() if value]
        sizes = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
        size = next((word for most, word in sizes if rows < most), "1M<n<10M")
        tags = f"tags:\n- synthetic\ntask_categories:\n- text-to-image\nsize_categories:\n- {size}\n"
        return "".join(lines) + tags + _configs(manifest.form, manifest.splits)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{clean(name, limit=80).replace('`', '')}`" for name in names) or "no model yet"


def _words(text: object) -> str:
    """A text as words of Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", clean(text, limit=200))


def _contents(made: _Made, manifest: Manifest) -> str:
    lines = ["## Contents\n"]
    if manifest.splits:
        counts: Counter[str] = Counter()
        for file in manifest.files.values():
            counts[re.split(r"-\d{5}|/", file.name)[0]] += file.rows or 0
        lines += ["| split | rows |", "| --- | --- |"]
        lines += [f"| {split} | {counts[split]:,} |" for split in manifest.splits] + [""]
    lines.append(
        f"Of the dataset it was taken from: {in_words({name: made.counts[name] for name in ROW_STATUSES})}."
    )
    if manifest.form:
        lines.append(
            f"The files are of the form {manifest.form}; the pictures are {_words(manifest.pictures)}."
        )
    left_out = sum(len(file.left_out) for file in manifest.files.values())
    if left_out:
        lines.append(f"{counted(left_out, 'picture')} could not be decoded and was left out.")
    columns = _names(name for name in made.columns)
    return "\n".join([*lines, f"Columns of a row: {columns}.", ""])


def _how(made: _Made, spent: int) -> str:
    heads = ("model", "pictures", "price of them", "made", "most frequent options")
    lines = ["## How it was made\n", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for name, model in made.models.items():
        options = json.loads(next(iter(model.parameters.most_common(1)), ("{}",))[0])
        told = ", ".join(f"{_words(key)} {_words(value)}" for key, value in options.items()) or "defaults"
        days = " to ".join(dict.fromkeys(filter(None, (model.first[:10], model.last[:10])))) or "not known"
        price = "not known" if model.cost is None else dollars(model.cost)
        lines.append(f"| {_words(name)} | {model.pictures:,} | {price} | {days} | {told} |")
    total = f"All of it cost {dollars(spent)}, with what was refused, rejected or made again."
    rejected = made.counts["rejected"]
    chosen = (
        f" {counted(rejected, 'picture was', 'pictures were')} rejected by hand or by a check."
        if rejected
        else ""
    )
    return "\n".join([*lines, "", f"{total}{chosen}", "Made with comet_magic from a table of prompts.", ""])


def write_card(dataset: Dataset, to: str | os.PathLike[str] | None, card: Card, *, replace: bool) -> str:
    """Write the card of an export, or of the dataset's own folder; gives where it is.

    Raises:
        ConfigurationError: there is no export of this dataset, or a README.md of somebody's own.
        SaveError: a file cannot be written.
    """
    place = Folder(dataset.folder) if to is None else place_at(to)
    manifest = Manifest("") if to is None else read_manifest(place, dataset_id(dataset.folder))
    if to is not None and not manifest.files:
        raise ConfigurationError(
            f"{clean(to)} holds no export of this dataset",
            hint="report.export(...) makes one; then the card.",
        )
    _check_own(place, manifest, replace=replace)
    if card.license is None:
        warnings.warn("the card says that the license is not set; license='cc-by-4.0' sets one", stacklevel=3)
    made = _Made()
    for record in dataset.records():
        made.add(record)
    problem = ""
    try:
        strip = _strip(dataset, manifest)
        if strip:
            with place.open(STRIP) as file:
                file.write(strip)
        text = card.text(made, manifest, dataset.spend.spent_micro, strip=bool(strip))
        with place.open(README) as file:
            file.write(text.encode())
    except OSError as error:
        problem = clean(error, limit=300)
    else:
        return f"{place.name}/{README}"
    raise SaveError(f"the card cannot be written: {problem}", outcome="not_sent")


def _check_own(place: Place, manifest: Manifest, *, replace: bool) -> None:
    """Refuse to write over a README.md of somebody's own.

    Raises:
        ConfigurationError: there is one.
    """
    try:
        with place.read(README) as file:
            data = file.read(1 << 20)
    except FileNotFoundError:
        return
    text = data.decode(errors="replace")
    mark, ours = _MARK.search(text), manifest.files.get(README)
    unchanged = mark and mark[1] == _digest(text[: mark.start()])
    if not (replace or unchanged or (ours and ours.sha256 == hashlib.sha256(data).hexdigest())):
        raise ConfigurationError(
            f"{clean(place.name)} holds a README.md that was written or changed by hand",
            hint="replace=True writes over it.",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _strip(dataset: Dataset, manifest: Manifest) -> bytes:
    """Some of the exported pictures side by side, as a JPEG; nothing if none can be read."""
    from .views import Sampled, labelled_sheet, sampled

    chosen = [Sampled(LazyImage(dataset.folder, name), "", "") for name in manifest.sample]
    if not manifest.files:
        chosen = sampled(dataset, 8, by=None, drawn=True)
    readable = []
    for one in chosen:
        try:
            one.image.picture()
            readable.append(one)
        except (BadImageError, SaveError):  # it is left out of the dataset too
            continue
    if not readable:
        return b""
    columns = min(4, len(readable))
    out = io.BytesIO()
    labelled_sheet(readable, columns=columns, width=columns * _EDGE, captions=False).save(
        out, "JPEG", quality=85
    )
    return out.getvalue()
