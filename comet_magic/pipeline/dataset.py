"""The public functions that make a dataset: one waits, one is awaited. What they are given is checked here."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ..archive import Reader
from ..archive.process_lock import others_alive
from ..client.api import callers_level
from ..client.process_exit import end_signals
from ..errors import CometError, ConfigurationError, InvalidRequestError
from ..money import dollars, optional_dollars, total
from ..preset_files import find_preset
from ..request import InputOptions, WireOptions
from ..request.checks import check_names
from ..settings import (
    DATASET_IN_FLIGHT,
    BaseURL,
    ClientOptions,
    Settings,
    base_url_of,
    check_number,
)
from ..text import conceal_keys, counted
from .checks import checks_of, look_through
from .choice import RowsToRedo, rows_to_redo
from .dataset_plan import DatasetPlan, tally
from .dataset_run import DatasetRun
from .expand import Expander
from .failures import FailurePolicy
from .prompts import Rewriter, column_of, has_braces
from .read_source import read_source
from .report import dataset_folder
from .row_inputs import ROLES, RowInputs
from .source import Source, source_error

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ..request import ModelId, PresetName
    from .checks import Checks
    from .choice import Again
    from .report import Dataset


class SourceOptions(TypedDict, total=False):
    """How a table is read; None means by itself."""

    parameters: Sequence[str] | None
    columns: Sequence[str] | None
    format: str | None
    encoding: str | None
    sep: str | None


class PromptOptions(TypedDict, total=False):
    """How the prompts are made of the rows."""

    preset: PresetName | None
    sample_seed: int
    rewrite: Callable[[list[str]], Sequence[str]] | None
    rewrite_version: str


class PaceOptions(TypedDict, total=False):
    """How fast a run is, and when it gives up."""

    max_per_minute: float | None
    stop_after: int | None


class RetryOptions(PaceOptions, ClientOptions, total=False):
    """What `Dataset.retry` takes."""


class RunOptions(PaceOptions, total=False):
    """What a run does with its rows."""

    dedupe: bool
    redo: Again | None
    append: bool
    replace: bool


class DatasetOptions(
    RunOptions, SourceOptions, PromptOptions, WireOptions, InputOptions, ClientOptions, total=False
):
    """The options of a dataset; `generate_dataset` explains them."""

    model: ModelId | Sequence[ModelId] | None  # type: ignore[misc]  # several: a picture of each


def generate_dataset(
    source: Any,
    out: str | os.PathLike[str],
    *,
    prompt: str = "prompt",
    cluster: Any = None,
    progress: bool = True,
    check: Checks | None = None,
    **options: Unpack[DatasetOptions],
) -> Dataset:
    """Turn a table of prompts into a folder of pictures; run it again to go on where it ended.

    What is sent when rows exist already, and what it costs:
        by itself        rows that no run has ended, and new ones; nothing that exists is paid for again
        redo=            only rows that ended without a picture; what is paid is fetched first, free
        report.retry()   the same without the table
        report.reroll()  one further picture for each row that was rejected; it is paid
        append=True      new rows of this table; no row leaves the folder
        replace=True     new rows; those that this table does not have leave, and their pictures stay on disk

    Every picture that exists is kept and never paid for again, however rows are added, removed or shuffled. Ten
    equal rows give ten pictures. A refused prompt costs one row. An interrupt (Ctrl-C, SIGTERM, SIGHUP) lets
    the calls in flight finish; a second one cancels them. `docker stop` kills after 10 s: give it `--stop-timeout 600`.

    Args:
        source: a frame (pandas, polars, Dask, pyarrow, DuckDB, Hugging Face, or whatever has Arrow's stream protocol);
            a Series or list of texts or mappings; a mapping of columns; a path, a glob, an address of fsspec, `-` for
            standard input or an open file (csv, tsv, jsonl, json, parquet, txt with one prompt a line; also .gz). All
            these are looked through whole before anything is sent. Any other iterable is a stream: it is read no
            faster than calls are made, and its first 1,000 rows, or what it gives in a second, are looked through.
            Columns named like parameters (`size`, `quality`, `model`...) hold for their row; `n` makes that many
            rows of it; all others are kept in the metadata, except pictures and bytes.
        out: the folder; it is an archive with a ledger, and `datasets.load_dataset("imagefolder", data_dir=out)`
            loads it.
        prompt: the column of the prompts; or a template such as `a {animal} in a {red|blue} hat`, whose names are
            columns, and of whose alternatives one is drawn for each row. Columns that it uses are words.
        cluster: a `distributed.Client` or the address of its scheduler: workers make the calls. All of them must see
            `out` under the same path; that is asked before anything is sent.
        progress: show how far the run is.
        check: looks at every picture at the end of the run, as `Dataset.check`; nothing is rejected by it.
        **options: any of the following, in five groups.

    Options of the run:
        dedupe: equal rows share one picture.
        redo: send only the rows that `failed`, were `refused`, or are `unknown`; the last may be billed twice. Rows
            that are chosen (a list of places as in `report[0]`, a mask, a function of a row's mapping) are sent if they
            ended in one of these ways.
        append: add rows and remove none, for a table that comes in parts: chunks one after the other, or halves in
            two processes. A row that is there already is not added again.
        replace: let rows go that this table does not have. Without it, one row, or up to 20 rows and one in ten, may
            go because the table was edited; if there are more, the table is refused before anything is sent.
        max_per_minute: at most so many pictures a minute.
        stop_after: so many failures of the same kind in a row end the run (20); None: no number does. Refused prompts
            do not count, and a picture begins the count anew. Two in a row are enough if no row can change it, such
            as an unknown model. After 3 calls in a row without a usable answer or connection the run pauses for 5,
            15, 45 and 135 s and tries one row behind each; if all of these fail, it ends.

    Options of the prompts:
        preset: the name of a preset: its parameters hold where neither row nor call says otherwise, and its template is
            put around each prompt.
        sample_seed: another number draws other words (0); they are kept in columns `drawn_1`, `drawn_2`...
        rewrite: a function that gets a list of at most 32 prompts and gives as many. What it gave is kept in the
            folder, so no later run asks for a prompt again; the prompt before is kept in the column `asked_prompt`.
        rewrite_version: another text asks anew for all prompts.

    Options of the source:
        parameters: the columns that are parameters, where others are called like one.
        columns: names of the values of rows that are tuples.
        format: what a file is whose name does not say it, such as `csv`.
        encoding: of texts; UTF-8, and UTF-16 with a mark, are found without it.
        sep: between two values of a csv file; comma, semicolon and tab are found without it.

    Pictures that go in:
        image: the column with the picture to edit, or a list of columns; or the picture itself, the same for all rows
            (a column wins over a file of that name). A value is a path beside the table's file, or in the working
            folder if the table is not a file; a PIL picture, bytes, an array, an image of `datasets`; or a list of
            these. A row whose picture is missing or cannot be read fails, and is not sent.
        mask: the column with the mask of the first picture, or the mask; a value may be a box `left,top,right,bottom`.
        markup: likewise, scribbles over the first picture, for models that take them.

    Parameters of every picture whose row does not say otherwise, as `generate` takes them (several models, as
    `model=["gpt-image-2", "dall-e-3"]`, make a row of each, with the parameters that each takes):
        model, n, size, quality, style, background, output_format, output_compression, response_format, moderation,
        resize, paste_back, user, stream, partial_images, input_fidelity, extra.

    Options of the client:
        max_cost: what all runs of this dataset together may cost, in USD; rows beyond it end as `over_budget`.
        max_in_flight: calls side by side (8).

    The server, as `generate` takes it: api_key, base_url, auth, allow_insecure. Further options of the client, as
    `comet_magic.settings.Settings` explains them: max_cost_session, max_cost_day, price_per_image, max_attempts,
    retry_base_delay, timeout, connect_timeout, stream_idle_timeout, download_timeout, max_image_bytes,
    max_image_pixels, max_response_bytes, download_proxy, picture_origins, store_prompts.

    Returns:
        The report: counts, cost, rows, failures, contact sheet, exports.

    Raises:
        AuthenticationError, PermissionDeniedError, QuotaError, RateLimitError: the run ended after the calls in
            flight; its other rows are open.
        AmbiguousError, APIConnectionError or another CometError: calls only failed, so the run ended likewise; the
            error is the last failure with the reason. `open_dataset(out)` gives the report.
        SourceError: the source cannot be read or is ambiguous. A stream may fail after some rows: these are paid, and
            the rows of the run before stay in the report.
        ConfigurationError: the folder or a setting cannot be used.
        MissingKeyError, InvalidRequestError: nothing was sent.
        SaveError: the disk refused; the pictures that were not saved are in `images`.
        CallAbandoned: it was interrupted.

    Example:
        >>> import comet_magic as cm
        >>> prompts = ["a red boat", "a blue boat"]
        >>> report = cm.generate_dataset(prompts, "boats", model="dall-e-2", size="256x256", progress=False)
        >>> report.counts["done"], report.cost
        (2, 0.032)
        >>> again = cm.generate_dataset(prompts, "boats", model="dall-e-2", size="256x256", progress=False)
        >>> again.cost
        0.032
    """
    checks = () if check is None else checks_of(check)
    job = read_job(source, out, prompt, options)
    warn_of_billing_twice(job)
    report = DatasetRun(job, cluster=cluster, progress=progress).report()
    if checks:
        look_through(report.folder, checks)
    return report


async def agenerate_dataset(
    source: Any,
    out: str | os.PathLike[str],
    *,
    prompt: str = "prompt",
    cluster: Any = None,
    progress: bool = True,
    check: Checks | None = None,
    **options: Unpack[DatasetOptions],
) -> Dataset:
    """Turn a table of prompts into a dataset, awaited; takes, gives and raises what `generate_dataset` does.

    Cancelling the await is an interrupt: the calls in flight finish first.
    """
    checks = () if check is None else checks_of(check)
    job = await asyncio.to_thread(read_job, source, out, prompt, options)
    warn_of_billing_twice(job)
    run = DatasetRun(job, cluster=cluster, progress=progress)
    # Connecting, waiting and reading the report block: the caller's loop is left free.
    with ThreadPoolExecutor(1, "comet_magic-dataset") as thread:
        context = contextvars.copy_context()  # in a kernel it says which cell the progress belongs to
        ended = asyncio.get_running_loop().run_in_executor(thread, context.run, run.report)
        cancelled = False
        with end_signals(run.interrupt):
            while not ended.done():
                try:
                    await asyncio.wait({ended})
                except asyncio.CancelledError:
                    cancelled = True
                    run.interrupts += 1
    if cancelled:
        ended.exception()  # asyncio complains of an error that nobody asked for
        raise asyncio.CancelledError
    report = ended.result()
    if checks:
        await asyncio.to_thread(look_through, report.folder, checks)
    return report


def plan(
    source: Any,
    out: str | os.PathLike[str],
    *,
    prompt: str = "prompt",
    cluster: Any = None,  # noqa: ARG001 - it takes what `generate_dataset` takes
    progress: bool = True,  # noqa: ARG001
    check: Checks | None = None,
    **options: Unpack[DatasetOptions],
) -> DatasetPlan:
    """What `generate_dataset` would do with the same arguments; nothing is sent, and no key is needed.

    A generator is used up by this: plan a list, a frame or a file.

    Raises:
        ConfigurationError: the source or a setting cannot be used.
        InvalidRequestError: a parameter breaks a rule.
        SourceError: more rows would leave the folder than an edited table explains.
    """
    if check is not None:
        checks_of(check)
    job = read_job(source, out, prompt, options)
    return tally(job, shared=others_alive(job.folder))


def warn_of_billing_twice(job: DatasetJob) -> None:
    """Warn if calls of unknown outcome are sent again."""
    if job.redo is None or "unknown" not in job.redo.statuses:
        return
    keys = None if job.redo.places is None else {key for key, _ in job.redo.places}
    unknown = Reader(job.folder).uncertain()
    bounds = [call.bound_micro for call in unknown if keys is None or call.key in keys]
    if bounds:
        calls = counted(len(bounds), "call of unknown outcome is", "calls of unknown outcome are")
        warnings.warn(
            f"{calls} sent again and may be billed twice ({dollars(total(bounds))} at most)",
            stacklevel=callers_level(),
        )


# --- what was given


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What a run does with its rows, as `generate_dataset` explains it.

    Raises:
        ConfigurationError: one cannot be used, or two exclude each other.
    """

    dedupe: bool = False
    redo: RowsToRedo | None = None
    append: bool = False
    replace: bool = False
    max_per_minute: float | None = None

    def __post_init__(self) -> None:
        if self.append and self.replace:
            raise ConfigurationError("append adds rows and replace removes them; give one of the two")
        if self.max_per_minute is not None:
            check_number("max_per_minute", self.max_per_minute)


@dataclass(frozen=True, kw_only=True)
class JobSettings(RunSettings):
    """How a dataset is made, whatever its rows are.

    Attributes:
        folder: the dataset's.
        base: where requests are sent.
        client: settings of the client, without limits on money and without the archive.
        in_flight: at most so many calls side by side.
        max_cost: micro-USD that all runs together may cost, or None.
        price_per_image: micro-USD, for a model whose price is not known; or None.
        policy: how many failures the run bears.
        given: what `Dataset.retry` takes too, as it was given.
    """

    folder: Path
    base: BaseURL
    client: ClientOptions
    in_flight: int
    max_cost: int | None
    price_per_image: int | None
    policy: FailurePolicy
    given: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DatasetJob(JobSettings):
    """A dataset to be made.

    Attributes:
        source: its rows.
        expander: turns them into requests.
        kept: the source is the index of the folder, which stays as it is.
    """

    source: Source
    expander: Expander
    kept: bool = False

    def again(self) -> DatasetJob:
        """The same job with its source at the first row; not for a stream."""
        return dataclasses.replace(self, expander=self.expander.anew())


def read_job(source: Any, out: str | os.PathLike[str], prompt: str, options: Mapping[str, Any]) -> DatasetJob:
    """Check what was given; nothing is sent or written. A key among the options is hidden there.

    Raises:
        ConfigurationError: the source or a setting cannot be used.
        InvalidRequestError: a parameter breaks a rule.
    """
    folder = dataset_folder(out)
    settings = job_settings(folder, options)
    given = _those(InputOptions, options)
    inputs = RowInputs(given, folder) if any(given.get(role) is not None for role in ROLES) else None
    expander = _expander(
        options,
        folder,
        prompt=prompt,
        inputs=inputs,
        parameters=options.get("parameters"),
        dedupe=settings.dedupe,
        vendor=settings.base.vendor,
        price_per_image=settings.price_per_image,
    )
    reading = _those(SourceOptions, options)
    reading.pop("parameters", None)
    try:
        columns = inputs.names if inputs else ()
        read = read_source(
            source, prompt=column_of(prompt), needs_prompt=not has_braces(prompt), pictures=columns, **reading
        )
        read = dataclasses.replace(read, pictures=inputs is not None)
        if read.whole:  # a stream is looked through when it is read
            read = dataclasses.replace(read, size=expander.look_through(read.rows(), read.columns or ()))
    except CometError:
        raise
    except BaseException as fault:  # noqa: BLE001 - of libraries and of the user's own code
        problem = source_error(fault)
    else:
        return DatasetJob(**vars(settings), source=read, expander=expander)
    raise problem


def _expander(options: Mapping[str, Any], folder: Path, **facts: Any) -> Expander:
    """The expander of a table, with what the preset, the seed and the function of its prompts add to it."""
    defaults = _those(WireOptions, options)
    if options.get("preset") is not None:
        preset = find_preset(options["preset"])
        other = next((name for name in preset.options if name not in WireOptions.__annotations__), None)
        if other is not None:
            raise InvalidRequestError(
                f"the preset {preset.label} has {other}, which is for single calls", param="preset"
            )
        given = {name: value for name, value in defaults.items() if value is not None}
        defaults = {**preset.options, **given}
        facts |= {"around": preset.template, "asked": {"preset": preset.label}}
    rewriter = None
    if options.get("rewrite") is not None:
        if not options.get("store_prompts", True):
            raise ConfigurationError(
                "rewrite keeps prompts in the folder, and store_prompts=False keeps none"
            )
        rewriter = Rewriter(options["rewrite"], str(options.get("rewrite_version") or ""), folder)
    seed = options.get("sample_seed")
    return Expander(defaults, rewriter=rewriter, sample_seed=0 if seed is None else seed, **facts)


def job_settings(folder: Path, options: Mapping[str, Any]) -> JobSettings:
    """The settings of a job from the options that were given; raises as `read_job`."""
    conceal_keys(options, DatasetOptions.__annotations__)
    check_names(options, (*DatasetOptions.__annotations__, "prompt", "cluster", "progress"))
    if "archive" in options:
        raise ConfigurationError("archive is not a setting of a dataset: its folder is its archive")
    run = _those(RunSettings, options)
    if run.get("redo") is not None:
        run["redo"] = rows_to_redo(run["redo"], folder)
    RunSettings(**run)
    policy = FailurePolicy(**_those(FailurePolicy, options))
    client: Any = _those(ClientOptions, options)
    given = _those(RetryOptions, options)
    base = base_url_of(client)
    client.setdefault("max_in_flight", DATASET_IN_FLIGHT)
    max_cost = optional_dollars(client.pop("max_cost", None), name="max_cost")
    settings = Settings(**_those(Settings, client))
    price_per_image = optional_dollars(settings.price_per_image, name="price_per_image")
    return JobSettings(
        folder=folder,
        base=base,
        client=client,
        in_flight=settings.max_in_flight,
        max_cost=max_cost,
        price_per_image=price_per_image,
        policy=policy,
        given=given,
        **run,
    )


def _those(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options whose names the TypedDict or dataclass has."""
    return {name: options[name] for name in kind.__annotations__ if name in options}
