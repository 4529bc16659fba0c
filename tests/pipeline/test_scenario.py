"""From words to a training set, end to end: as a person makes it, and read by those who train."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from comet_magic.pipeline import generate_dataset, open_dataset, plan, product
from tests.pipeline.conftest import settings
from tests.pipeline.maker import kill, start_maker
from tests.processes import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipeline.endpoint import Endpoint

READ = """
import json, sys, warnings
import datasets, webdataset
warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the garbage collection
datasets.disable_progress_bars()
parquet, tars, cache = sys.argv[1:]
loaded = datasets.load_dataset(parquet, cache_dir=cache)
found = {split: [[row["animal"], row["style"], row["image"].format, row["image"].size] for row in part]
         for split, part in loaded.items()}
samples = {}
for split in found:
    stream = webdataset.WebDataset(f"{tars}/{split}-00000.tar", shardshuffle=False).decode("pil")
    samples[split] = [[one["json"]["animal"], one["json"]["style"], "WEBP", one["webp"].size] for one in stream]
print(json.dumps([found, samples]))
"""


@pytest.mark.judge
def test_from_words_to_a_training_set(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = pytest.importorskip("huggingface_hub")
    pytest.importorskip("datasets")
    pytest.importorskip("webdataset")
    for name, value in {"HF_HOME": "hf", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    animals = [*(f"animal {number}" for number in range(19)), "REFUSE"]
    table = product(animal=animals, style=["train station", "test tube"])
    options = {**settings(endpoint), "prompt": "a {animal} in a {style}", "max_cost": 5.00}
    planned = plan(table, tmp_path / "data", **options)
    assert (planned.to_generate, endpoint.paid) == (40, 0)

    # A run that is killed in its middle; the next one pays for no picture twice.
    endpoint.delay = 0.02
    rows = json.loads(table.to_json(orient="records"))
    given = {"prompt": options["prompt"], "max_cost": 5.00, "max_in_flight": 4}
    process = start_maker(rows, tmp_path / "data", endpoint, **given)
    endpoint.until(lambda seen: seen.paid >= 15)
    kill(process)
    report = generate_dataset(table, tmp_path / "data", **options)
    if report.counts["unknown"]:  # in flight at the kill; whether they were made nobody knows
        with pytest.warns(UserWarning, match="may be billed twice"):
            report = report.retry("unknown", progress=False)
    assert (report.counts["done"], report.counts["refused"]) == (38, 2)
    assert endpoint.paid <= 38 + 4

    # Look, throw out, make anew.
    assert report.sheet(sample=16, by="style", captions=True).width == 1024
    report.reject(list(range(10)), reason="not sharp")
    assert report.counts["rejected"] == 10
    report.reroll(progress=False)
    assert (report.counts["done"], report.counts["rejected"]) == (38, 0)

    # Split and export, and tell others what it is.
    wanted = {"where": "done", "size": 512, "image_format": "webp", "split": {"train": 0.8, "test": 0.2}}
    for form in ("parquet", "webdataset"):
        exported = report.export(tmp_path / form, format=form, split_by="animal", **wanted)  # type: ignore[arg-type]
        assert (exported.rows, exported.left_out) == (38, ())
    card = cards.DatasetCard.load(report.card(tmp_path / "parquet", license="cc-by-4.0"))
    assert card.data.license == "cc-by-4.0"

    loaded, streamed = json.loads(
        run(READ, tmp_path / "parquet", tmp_path / "webdataset", tmp_path / "cache")
    )
    assert loaded == streamed
    assert set(loaded) == {"train", "test"}
    every = [row for part in loaded.values() for row in part]
    assert sorted(row[:2] for row in every) == sorted(
        [a, s] for a in animals[:-1] for s in ("test tube", "train station")
    )
    assert {(kind, *size) for _, _, kind, size in every} == {("WEBP", 512, 512)}
    assert {row[0] for row in loaded["train"]} & {row[0] for row in loaded["test"]} == set()
    with Image.open(tmp_path / "parquet/.card/sample.jpg") as strip:
        assert strip.size[0] == 1024
    assert open_dataset(tmp_path / "data").verify(decode=True)
