"""`python -m tests.benchmarks.killed WHO URL FOLDER ROWS`: makes a table of pictures, or goes on after a kill."""

from __future__ import annotations

import sys
from pathlib import Path


def comet_magic(url: str, folder: str, rows: int) -> int:
    """One call; the same call goes on. Gives the number of pictures in the end."""
    import comet_magic as cm

    prompts = [f"a paper boat, number {number}" for number in range(rows)]
    options = {"model": "dall-e-2", "size": "256x256", "base_url": url, "api_key": "sandbox"}
    report = cm.generate_dataset(prompts, folder, max_in_flight=4, progress=False, **options)
    return report.counts["done"]


def data_designer(url: str, folder: str, rows: int) -> int:
    """Data Designer with its defaults, which is 4 in flight; it is told to go on if there is something."""
    import data_designer.config as dd
    import pandas as pd
    from data_designer.interface import DataDesigner

    options = dd.ImageInferenceParams(extra_body={"size": "256x256"})
    model = dd.ModelConfig(
        alias="painter",
        model="dall-e-2",
        provider="here",
        inference_parameters=options,
        skip_health_check=True,
    )
    table = dd.DataDesignerConfigBuilder(model_configs=[model])
    table.with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"number": range(rows)})))
    table.add_column(
        dd.ImageColumnConfig(
            name="picture", prompt="a paper boat, number {{ number }}", model_alias="painter"
        )
    )
    here = dd.ModelProvider(name="here", endpoint=url, provider_type="openai", api_key="sandbox")
    designer = DataDesigner(artifact_path=Path(folder), model_providers=[here])
    going_on = dd.ResumeMode.ALWAYS if (Path(folder) / "boats").exists() else dd.ResumeMode.NEVER
    made = designer.create(table, num_records=rows, dataset_name="boats", resume=going_on)
    return made.count_records()


if __name__ == "__main__":
    who, url, folder, rows = sys.argv[1:]
    print({"comet_magic": comet_magic, "Data Designer": data_designer}[who](url, folder, int(rows)))
