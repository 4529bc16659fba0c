"""One `%cometimg` call, from the typed text to the pictures that it returns: `run_cell` reads from top to bottom."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client import wait
from ..errors import CometError
from ..images import prepare_inputs
from ..machine import expanded
from ..preset_files import Preset, find_preset, with_preset
from ..request import NO_INPUTS, has_pictures, requests_of
from ..text import clean
from . import flags
from .arguments import read_flags, refuse_key, usage_error
from .cell_names import fill, input_options
from .cell_output import CellOutput, print_notices
from .session import never_asks, refusal, session

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from ..client import Client, Job, Plan
    from ..explore import Grid, GridPlan
    from ..images import Images
    from ..request import ImageRequest
    from .magic import CometMagics

CALL_FLAGS = ("timeout", "max_cost", "reuse")
DEFAULTED_OPTIONS = ("model", "size", "quality")


@dataclass(frozen=True)
class TypedCell:
    """What was typed.

    Attributes:
        values: the value of each flag, None if it was not given.
        prompt: the prompt before its names are filled in.
        wire: those of the values that are sent to the server.
    """

    values: Mapping[str, Any]
    prompt: str
    wire: Mapping[str, Any]


def run_cell(
    magics: CometMagics, line: str, body: str | None, local_names: Mapping[str, Any]
) -> Images | Grid | None:
    """Make the pictures that a cell asks for; bind, show and return them.

    Returns:
        The pictures, a grid of them with `--vary`, or None with `--help` and `--dry-run`.

    Raises:
        UsageError, InvalidRequestError: what was typed cannot be used; nothing was sent.
        CallAbandoned: an interrupt.
        CometError: as the call ended; pictures that exist were bound and shown before.
    """
    typed = parse_cell(line, body)
    if typed.values["help"]:
        print(flags.help_of("cometimg"))
        return None
    if typed.values["vary"]:
        from .vary_call import run_vary

        return run_vary(magics, typed, local_names)
    return run_plain(magics, typed, local_names)


def run_plain(magics: CometMagics, typed: TypedCell, local_names: Mapping[str, Any]) -> Images | None:
    """Make the pictures of a cell without `--vary`; `run_cell` explains it."""
    shell, values = magics.shell, typed.values
    prompt = filled_prompt(typed, (local_names, shell.user_ns), hidden=shell.user_ns_hidden)
    options = call_options(typed, magics)
    options |= input_options(values, (local_names, shell.user_ns), session.newest)
    output = CellOutput(shell, quiet=bool(values["quiet"]), **magics.display_settings(values["inline"]))
    sent_prompt, sent = with_preset(prompt, options)
    inputs = prepare_inputs(sent) if has_pictures(sent) else NO_INPUTS
    requests = requests_of(sent_prompt, sent, inputs)
    print_notices(notice for request in requests for notice in request.notices)
    if values["dry_run"]:
        print_dry_run(requests, magics.client_settings())
        return None
    if values["save"]:
        check_save_path(values["save"], requests)

    client, picture_notice = confirmed_client(magics, values, prompt, options)
    if values["edit"]:
        picture_notice = "; ".join(filter(None, (f"edit of {name_of(options['image'][0])}", picture_notice)))
    job = client.submit(prompt, **options)
    session.track(job)
    output.begin(job, call_title(job), picture_notice)
    try:
        images = wait(job, tick=output.tick).with_notice(picture_notice)
    except CometError as error:
        show_partial_result(error, job, output, notice=picture_notice, out=values["out"])
        raise
    images.maker = maker(magics)
    session.newest = images
    bind(shell, values["out"], images)
    output.show(images)
    print_notices(shortfall(images, requests))
    if values["save"]:
        save(images, values["save"], output, metadata=magics.metadata)
    return images


# --- what was typed


def parse_cell(line: str, body: str | None) -> TypedCell:
    """Split a magic's line and body into flags and prompt; `body` is None for the line form.

    Raises:
        UsageError: one line with the fix; a key is refused without being repeated.
    """
    if body is not None:  # the line ends of another system make no other prompt
        body = re.sub("\r\n?", "\n", body)
    refuse_key(line, body or "")
    magic = "%cometimg" if body is None else "%%cometimg"
    values, rest = read_flags(line, flags.flags_of("cometimg"), magic=magic, verbatim=body is None)
    if body is not None and rest:
        raise usage_error(
            f"unexpected text after the flags: {rest[:40]}; put the prompt of %%cometimg on the next line"
        )
    if not values["vary"]:
        refuse_flags_of_vary(values)
    names = [flag.name for flag in flags.wire_flags()]
    wire = {name: values[name] for name in names if values[name] is not None}
    return TypedCell(values, rest.strip() if body is None else body.strip("\n"), wire)


def refuse_flags_of_vary(values: Mapping[str, Any]) -> None:
    """Refuse flags that mean something with `--vary` only."""
    for name in ("sample", "sample_seed", "no_reuse"):
        if values[name]:
            raise usage_error(f"--{name.replace('_', '-')} works with --vary only")


def typed_prompt(typed: TypedCell) -> str:
    """The prompt as it was typed, or as its file has it."""
    path = typed.values["prompt_file"]
    if path is None:
        return typed.prompt
    if typed.prompt.strip():
        raise usage_error("--prompt-file and a prompt in the cell exclude each other; keep one of them")
    return _read_prompt(path)


def filled_prompt(
    typed: TypedCell,
    namespaces: Sequence[Mapping[str, Any]],
    hidden: Mapping[str, Any],
    *,
    words: Container[str] | None = None,
) -> str:
    """The prompt as it will be sent, with its names filled in; with `words` the template of a grid."""
    prompt = typed_prompt(typed)
    if not typed.values["no_interpolate"]:
        prompt, warnings = fill(prompt, *namespaces, hidden=hidden, words=words)
        print_notices(warnings)
        refuse_key(prompt)
    if not prompt.strip():
        raise usage_error(
            "the prompt is empty; write it below the %%cometimg line, or after the flags of %cometimg"
        )
    return prompt


def _read_prompt(path: str) -> str:
    problem = ""
    try:
        return expanded(path).read_text(encoding="utf-8-sig").strip("\n")
    except UnicodeDecodeError:
        problem = "is not UTF-8 text"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    raise usage_error(f"--prompt-file {path} {problem}")


# --- what will be sent


def call_options(typed: TypedCell, magics: CometMagics) -> dict[str, Any]:
    """The options of the call: the cell's flags, its preset, and what that leaves of `%config CometMagics`."""
    named = typed.values["preset"]
    preset = Preset("") if named is None else find_preset(named)
    defaults = {name: getattr(magics, name) for name in DEFAULTED_OPTIONS if name not in preset.options}
    options = {name: value for name, value in (defaults | dict(typed.wire)).items() if value is not None}
    options |= {name: typed.values[name] for name in CALL_FLAGS if typed.values[name] is not None}
    if magics.reuse and "reuse" not in preset.options:
        options["reuse"] = True
    if named is not None:
        options["preset"] = preset
    if typed.values["raw"]:
        options["extra"] = dict(typed.values["raw"])
    return options


def print_dry_run(requests: Sequence[ImageRequest], settings: Mapping[str, Any]) -> None:
    """Print the exact requests and what they would cost."""
    from ..money import Price, optional_dollars

    given = settings.get("price_per_image")
    each = optional_dollars(given, name="price_per_image")
    prices = [request.estimate(each) for request in requests]
    bodies = [json.dumps(shown_body(request), ensure_ascii=False, indent=2) for request in requests]
    address = session.base(settings.get("base_url")).endpoint(requests[0].path)
    for body in dict.fromkeys(bodies):
        times = f"   ({bodies.count(body)} times)" if bodies.count(body) > 1 else ""
        print(f"POST {address}{times}\n{clean(body, limit=100_000)}")
    print(f"price: {sum(prices, Price(0, 0))}; nothing was sent")


def shown_body(request: ImageRequest) -> dict[str, Any]:
    """What is sent, with words for the pictures that go in."""
    pictures: dict[str, list[str]] = {}
    for role, picture in request.inputs:
        if role != "original":
            pictures.setdefault(role, []).append(f"{picture.width}x{picture.height} {picture.mime}")
    return {**request.body(), **{role: ", ".join(each) for role, each in pictures.items()}}


def check_save_path(path: str, requests: Sequence[ImageRequest]) -> None:
    """Refuse a `--save` path that could not be written, before anything is paid."""
    from ..images import obstacle

    problem = obstacle(path, [request.mime_hint for request in requests for _ in range(request.n)])
    if problem:
        raise usage_error(f"--save {path}: {problem}")


def refuse_unconfirmed(plan: Plan | GridPlan, above: float) -> None:
    """Refuse a cell that would buy more than is bought without a word."""
    problem = refusal(plan, above)
    if problem:
        raise usage_error(problem)


def cell_client(magics: CometMagics, values: Mapping[str, Any]) -> tuple[Client, str, dict[str, Any]]:
    """The client to send with, the notice of its pictures, and the settings that it has."""
    settings = magics.client_settings()
    if values["download_proxy"]:
        settings["download_proxy"] = values["download_proxy"]
    print_notices(session.new_key_notices(magics.base_url))
    client, picture_notice, _ = session.service(**settings)
    return client, picture_notice, settings


def confirmed_client(
    magics: CometMagics, values: Mapping[str, Any], prompt: str, options: Mapping[str, Any]
) -> tuple[Client, str]:
    """The client to send with, and the notice of its pictures.

    Raises:
        UsageError: the call costs more than may be sent without a word.
    """
    client, picture_notice, settings = cell_client(magics, values)
    limits = {**settings, **with_preset(prompt, options)[1]}
    if not values["yes"] and not never_asks(client.vendor, limits):
        refuse_unconfirmed(client.plan(prompt, **options), magics.confirm_above)
    return client, picture_notice


# --- what came


def shortfall(images: Images, requests: Sequence[ImageRequest]) -> list[str]:
    """A sentence if fewer pictures came than were requested."""
    wanted = sum(request.n for request in requests)
    return (
        [f"{wanted} pictures were requested; the answer held {len(images)}"] if len(images) < wanted else []
    )


def name_of(images: Images) -> str:
    """What a caption calls the picture that was edited."""
    path = images.paths[0]
    return Path(path).name if path else "the last picture"


def maker(magics: CometMagics) -> Callable[..., Images]:
    """What makes an edit of a cell's pictures: `generate` with the settings of the notebook at that time."""

    def make(prompt: str, **options: Any) -> Images:
        return session.service(**magics.client_settings()).client.generate(prompt, **options)

    return make


def call_title(job: Job) -> str:
    """The model, the number of pictures and the price: "gpt-image-2, 3 pictures, $0.018"."""
    count = sum(request.n for request in job.requests)
    pictures = f", {count} pictures" if count > 1 else ""
    model = job.requests[0].model if job.requests else "from the archive"
    return f"{model}{pictures}, {job.price}"


def bind(shell: Any, name: str | None, images: Images | Grid) -> None:
    """Assign the pictures to a variable of the notebook, if a name was given."""
    if name:
        shell.user_ns[name] = images


def show_partial_result(
    error: CometError, job: Job, output: CellOutput, *, notice: str, out: str | None
) -> None:
    """Bind and show the pictures of a call that failed, if there are any, and put them into the error."""
    found: Any = error.images or _images_of_stopped(job)
    if not found:
        output.stop("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
        return
    error.images = images = found.with_notice(notice)
    bind(output.shell, out, images)
    output.show(images)
    output.show_of_failed_cell(images)


def _images_of_stopped(job: Job) -> Any:
    """The pictures that arrived before the call was stopped, as `Images`; None if there are none."""
    from ..images import Images
    from ..money import total

    pictures = [picture for call in job.calls for picture in call.arrived]
    if not pictures:
        return None
    cost = total(picture.cost_micro for picture in pictures)
    first = job.first
    return Images(pictures, prompt=first.prompt, model=first.model, cost_micro=cost, request=first)


def save(images: Images, path: str, output: CellOutput, *, metadata: bool) -> None:
    """Save the pictures for `--save`; if that fails, the cell fails but its pictures are still shown."""
    try:
        images.save(path, metadata=metadata)
    except CometError:
        output.show_of_failed_cell(images)
        raise
