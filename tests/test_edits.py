"""Edits through the client: on the wire, in the archive, in money, after crashes; and what comes back."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import parse_form_data

import comet_magic as cm
from comet_magic.errors import BudgetExceededError, ConfigurationError, InvalidRequestError
from comet_magic.notebook.arguments import UsageError
from comet_magic.notebook.as_code import request_code
from comet_magic.request import GivenFile, InputPicture, Inputs
from tests.images_made import noise
from tests.loopback import Head, LoopbackServer, header_block, read_head, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("plain_pictures")

LOW = {"quality": "low", "size": "1024x1024"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[cm.sandbox.Sandbox]:
    with cm.start_sandbox() as running:
        yield running


@pytest.fixture
def client(sandbox: Any, tmp_path: Path) -> Iterator[cm.Client]:
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=tmp_path / "archive") as client:
        yield client


@pytest.fixture
def boat(client: cm.Client) -> cm.Images:
    return client.generate("a paper boat at sunrise", **LOW)


def square(colour: str = "navy", edge: int = 256) -> Image.Image:
    return Image.new("RGB", (edge, edge), colour)


class Forms(LoopbackServer):
    """Keeps each POST as an independent parser reads it, and answers with a picture."""

    base_url: str

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Head, MultiDict[str, str], MultiDict[str, FileStorage], bytes]] = []

    async def opened(self) -> None:
        self.base_url = f"http://127.0.0.1:{await self.listen(self._serve)}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if head is None:
            return
        body = await reader.readexactly(head.length)
        environ = {
            "wsgi.input": io.BytesIO(body),
            "CONTENT_TYPE": head.headers["content-type"],
            "CONTENT_LENGTH": str(len(body)),
            "REQUEST_METHOD": "POST",
        }
        _, fields, files = parse_form_data(environ, silent=False)
        self.seen.append((head, fields, files, body))
        answer = json.dumps({"data": [{"b64_json": _PIXEL}]}).encode()
        fields_ = [("Content-Length", str(len(answer))), ("Content-Type", "application/json")]
        writer.write(header_block(200, fields_) + answer)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


_PIXEL = __import__("base64").b64encode(_png(square(edge=64))).decode()


@pytest.fixture
def forms() -> Iterator[Forms]:
    with Forms() as server:
        yield server
        assert server.crashes == []
    for _, _, files, _ in server.seen:
        for _, file in files.items(multi=True):
            file.close()


# --- the wire


def test_one_picture_goes_out_as_image_with_a_type_and_a_name_that_agree(
    forms: Forms, tmp_path: Path
) -> None:
    data = _png(square())
    with cm.Client(base_url=forms.base_url, api_key="k", archive=tmp_path) as client:
        client.generate(
            "make it night ⛵",
            image=data,
            mask=(0, 0, 99, 99),
            quality="low",
            output_compression=9,
            output_format="jpeg",
        )

    (head, fields, files, body) = forms.seen[0]
    assert head.target == "/v1/images/edits"
    assert head.headers["content-length"] == str(len(body))
    assert "transfer-encoding" not in head.headers
    assert fields.to_dict() == {
        "model": "gpt-image-2",
        "prompt": "make it night ⛵",
        "size": "1024x1024",
        "quality": "low",
        "output_format": "jpeg",
        "output_compression": "9",
    }
    assert [(name, file.filename, file.mimetype) for name, file in files.items(multi=True)] == [
        ("image", "image_0.png", "image/png"),
        ("mask", "mask.png", "image/png"),
    ]
    assert files["image"].read() == data
    assert body.index(b'name="prompt"') < body.index(b'name="image"') < body.index(b'name="mask"')


def test_several_pictures_go_out_as_image_with_brackets_in_order(forms: Forms, tmp_path: Path) -> None:
    out = io.BytesIO()
    square("red").save(out, "JPEG")
    with cm.Client(base_url=forms.base_url, api_key="k", archive=tmp_path) as client:
        client.generate("both", image=[out.getvalue(), square("blue")], stream=False)

    (_, _, files, _) = forms.seen[0]
    assert [(name, file.filename, file.mimetype) for name, file in files.items(multi=True)] == [
        ("image[]", "image_0.jpg", "image/jpeg"),
        ("image[]", "image_1.png", "image/png"),
    ]


def test_large_pictures_arrive_whole_whatever_pieces_they_are_sent_in(forms: Forms, tmp_path: Path) -> None:
    sizes = [(1100, 1000), (200, 100), (1500, 1400), (60, 50), (700, 500)]
    sent = [noise("image/png", "RGB", size) for size in sizes]
    with cm.Client(base_url=forms.base_url, api_key="k", archive=tmp_path) as client:
        client.generate("both", image=sent, **LOW)

    (_, _, files, body) = forms.seen[0]
    assert sum(map(len, sent)) < len(body) < sum(map(len, sent)) + 4000
    assert [file.read() for file in files.getlist("image[]")] == sent


def test_extra_parameters_and_booleans_are_written_as_the_official_client_writes_them(
    forms: Forms, tmp_path: Path
) -> None:
    extra = {"seed": 7, "safe": True, "tags": ["a", "b"], "svg": None, "deep": {"inner": {"effort": "low"}}}
    del extra["svg"]
    with cm.Client(base_url=forms.base_url, api_key="k", archive=tmp_path) as client:
        client.generate("x", image=square(), extra=extra, model="gpt-image-2.5-flare")

    (_, fields, _, _) = forms.seen[0]
    sent = {name: fields.getlist(name) for name in fields}
    assert {name: sent[name] for name in ("seed", "safe", "tags[]", "deep[inner][effort]")} == {
        "seed": ["7"],
        "safe": ["true"],
        "tags[]": ["a", "b"],
        "deep[inner][effort]": ["low"],
    }


def test_a_name_that_holds_quotes_and_lines_adds_no_field(forms: Forms, tmp_path: Path) -> None:
    name = 'a"; filename="b\r\n\r\nc'
    with cm.Client(base_url=forms.base_url, api_key="k", archive=tmp_path) as client:
        client.generate("x", image=square(), extra={name: 1})

    (_, fields, files, _) = forms.seen[0]
    assert {*fields} == {"prompt", "model", "size", 'a"; filename="b%0D%0A%0D%0Ac'}
    assert [*files] == ["image"]


def test_seedream_gets_its_pictures_as_data_in_json(client: cm.Client, sandbox: Any) -> None:
    images = client.generate("a boat", image=[square(), square("red")], model="doubao-seedream-5-0-260128")

    assert [entry.path for entry in sandbox.log if entry.method == "POST"][-1] == "/v1/images/generations"
    assert images.mime_types == ("image/jpeg",)


def test_a_group_of_seedream_comes_back_whole_and_is_priced_so(client: cm.Client) -> None:
    extra = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3}}

    images = client.generate(
        "a boat", image=square(), model="bytedance-seedream-4-0-250828", size="1K", extra=extra
    )

    assert len(images) == 3


# --- what comes back


def test_an_edit_of_a_result_changes_it_and_knows_its_parent(client: cm.Client, boat: cm.Images) -> None:
    night = boat.edit("make it night", **LOW)
    again = night.edit("make it fog", **LOW)

    assert night.image.size == boat.image.size
    assert night[0].resize((1, 1)).getpixel((0, 0))[0] < boat[0].resize((1, 1)).getpixel((0, 0))[0]
    (entry, parent, first) = client.archive.history()
    assert (entry.prompt, parent.prompt, first.prompt) == ("make it fog", "make it night", boat.prompt)
    assert (boat.parents, night.parents, again.parents) == ((), (first.key,), (parent.key,))


def test_a_picture_of_as_many_bytes_as_a_result_is_not_its_parent_unless_it_is_the_same(
    client: cm.Client, boat: cm.Images
) -> None:
    (made,) = client.archive.history()
    data, facts = boat.data[0], ("image/png", (1024, 1024), "0" * 64)
    same, other = (InputPicture.of(given, *facts, GivenFile(len(data))) for given in (data, bytes(len(data))))

    assert client.archive.parents(Inputs((other,))) == ()
    assert client.archive.parents(Inputs((other, same))) == (made.key,)


def test_without_a_size_an_edit_keeps_the_shape_and_says_so_once(client: cm.Client) -> None:
    wide = client.generate("a boat", image=Image.new("RGB", (1600, 1000), "navy"), quality="low")

    assert wide.image.size == (1600, 1008)


def test_outside_a_mask_the_result_is_the_original_and_both_are_kept(
    client: cm.Client, boat: cm.Images, tmp_path: Path
) -> None:
    red = boat.edit("a red sky", mask=(0, 0, 1024, 400), **LOW)

    below = (0, 400, 1024, 1024)
    assert red[0].crop(below).tobytes() == boat[0].convert("RGB").crop(below).tobytes()
    assert (
        red[0].crop((0, 0, 1024, 300)).tobytes() != boat[0].convert("RGB").crop((0, 0, 1024, 300)).tobytes()
    )
    assert "outside the mask: the original" in repr(red)
    (came,) = red.unpasted
    assert came is not None
    (kept,) = (tmp_path / "archive" / "unpasted").rglob("*.png")
    assert kept.read_bytes() == came
    assert Path(red.paths[0] or "").read_bytes() == red.data[0]


def test_paste_back_can_be_switched_off_and_asked_for_later(client: cm.Client, boat: cm.Images) -> None:
    box = (0, 0, 1024, 400)
    plain = boat.edit("a red sky", mask=box, paste_back=False, **LOW)
    later = plain.paste_back()

    assert plain.unpasted == (None,)
    assert later.unpasted == (plain.data[0],)
    assert later[0].crop((0, 400, 1024, 1024)).tobytes() == boat[0].crop((0, 400, 1024, 1024)).tobytes()
    with pytest.raises(InvalidRequestError, match="without a mask"):
        boat.paste_back()


def test_reuse_gives_either_form_of_a_masked_edit_for_nothing(
    client: cm.Client, boat: cm.Images, sandbox: Any
) -> None:
    box = (0, 0, 1024, 400)
    first = boat.edit("a red sky", mask=box, **LOW)
    count = len(sandbox.log)

    again = boat.edit("a red sky", mask=box, reuse=True, **LOW)
    plain = boat.edit("a red sky", mask=box, reuse=True, paste_back=False, **LOW)

    assert len(sandbox.log) == count
    assert (again.data, again.unpasted) == (first.data, first.unpasted)
    assert plain.data == first.unpasted
    assert (again.paths, plain.paths) == (first.paths, (None,))  # that file holds the pasted picture


def test_a_server_that_ignores_the_mask_is_shown_as_it_came_with_a_warning(tmp_path: Path) -> None:
    with (
        cm.start_sandbox(fail=["ignored-mask"]) as sandbox,
        cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=tmp_path) as client,
    ):
        images = client.generate("make it night", image=square("white", 1024), mask=(0, 0, 100, 100), **LOW)

    assert "the mask seems to have been ignored" in repr(images)
    assert images.unpasted == (None,)
    assert images.paste_back()[0].getpixel((500, 500)) == (255, 255, 255)


def test_an_edit_of_several_pictures_is_refused_with_the_way(client: cm.Client) -> None:
    boats = client.generate("boats", model="dall-e-2", size="256x256", n=2)

    with pytest.raises(InvalidRequestError, match="2 pictures to edit"):
        boats.edit("make it night")
    assert len(boats[:1].edit("make it night", quality="low")) == 1


def test_pictures_of_an_async_client_name_the_way_to_edit_them(sandbox: Any, tmp_path: Path) -> None:
    async def made() -> tuple[cm.Images, cm.Images]:
        where = {"base_url": sandbox.base_url, "api_key": "sandbox", "archive": tmp_path}
        async with cm.AsyncClient(**where) as client:
            images = await client.generate("a boat", **LOW)
            return images, await client.generate("make it night", image=images, **LOW)

    images, night = asyncio.run(made())
    assert night.parents != ()
    with pytest.raises(ConfigurationError, match="are awaited"):
        images.edit("make it night")


# --- money


def test_the_price_before_holds_the_bill_after(client: cm.Client, boat: cm.Images) -> None:
    for model in ("gpt-image-2", "gpt-image-2.5-flare", "gpt-image-1.5"):
        options = {"model": model, "image": [boat, square("red", 700)], "n": 2, **LOW}
        price = client.plan("both", **options).price
        cost = client.generate("both", **options).cost
        assert price.low is not None
        assert price.high is not None
        assert cost is not None
        assert price.low <= cost <= price.high


def test_a_limit_counts_the_input_pictures(client: cm.Client, boat: cm.Images, sandbox: Any) -> None:
    count = len(sandbox.log)

    client.plan("make it night", max_cost=0.006, **LOW)
    with pytest.raises(BudgetExceededError):
        client.generate("make it night", image=boat, max_cost=0.006, **LOW)

    assert len(sandbox.log) == count


# --- the archive


def test_an_input_is_kept_once_as_a_file_and_never_as_text(
    client: cm.Client, boat: cm.Images, tmp_path: Path
) -> None:
    boat.edit("make it night", **LOW)
    boat.edit("make it fog", mask=(0, 0, 500, 500), **LOW)
    client.generate("a boat", image=boat, model="doubao-seedream-5-0-260128")

    folder = tmp_path / "archive"
    kept = sorted(path.relative_to(folder).parts[0] for path in (folder / "inputs").rglob("*.png"))
    assert len(kept) == 2  # the picture and the mask
    texts = [path for path in folder.rglob("*") if path.suffix in (".jsonl", ".sqlite", ".json")]
    assert sum(path.stat().st_size for path in texts) < 200_000
    with sqlite3.connect(folder / "ledger.sqlite") as ledger:
        (inputs, parents) = ledger.execute(
            "SELECT inputs, parents FROM calls WHERE prompt = 'make it fog'"
        ).fetchone()
    assert [one["role"] for one in json.loads(inputs)] == ["image", "mask"]
    assert len(json.loads(parents)) == 1


def test_a_request_is_read_back_from_the_ledger_with_its_inputs(client: cm.Client, boat: cm.Images) -> None:
    boat.edit("make it night", **LOW)

    (entry, _) = client.archive.history()

    assert entry.request is not None
    assert entry.request.key(client.vendor) == entry.key
    assert entry.request.inputs.images[0].read() == boat.data[0]


def test_an_input_that_is_gone_is_named_and_nothing_is_sent(
    client: cm.Client, boat: cm.Images, tmp_path: Path, sandbox: Any
) -> None:
    boat.edit("make it night", **LOW)
    (entry, _) = client.archive.history()
    for path in (tmp_path / "archive" / "inputs").rglob("*.png"):
        path.unlink()

    assert entry.request is not None
    with pytest.raises(InvalidRequestError, match=r"the input picture inputs/.* is gone"):
        entry.request.inputs.images[0].read()


@pytest.mark.parametrize("swapped", ["link", "pipe", "link in between"])
def test_an_input_of_an_archive_that_is_a_link_or_a_pipe_is_neither_read_nor_named_in_a_cell(
    client: cm.Client, boat: cm.Images, tmp_path: Path, swapped: str
) -> None:
    boat.edit("make it night", **LOW)
    (entry, _) = client.archive.history()
    (kept,) = (tmp_path / "archive" / "inputs").rglob("*.png")
    private = kept.rename(tmp_path / kept.name)
    if swapped == "pipe":
        os.mkfifo(kept)
    elif swapped == "link":
        kept.symlink_to(private)
    else:
        kept.parent.rmdir()
        kept.parent.symlink_to(tmp_path)

    assert entry.request is not None
    with pytest.raises(InvalidRequestError, match="is gone"):
        entry.request.inputs.images[0].read()
    with pytest.raises(UsageError, match="there is no cell without it"):
        request_code(entry.request)


def test_the_bytes_that_came_are_none_where_their_file_is_no_file(
    client: cm.Client, boat: cm.Images, tmp_path: Path
) -> None:
    red = boat.edit("a red sky", mask=(0, 0, 1024, 400), **LOW)
    (kept,) = (tmp_path / "archive" / "unpasted").rglob("*.png")
    kept.unlink()
    kept.mkdir()

    again = boat.edit("a red sky", mask=(0, 0, 1024, 400), reuse=True, **LOW)

    assert (again.data, again.unpasted) == (red.data, (None,))


@pytest.mark.parametrize("value", ["nowhere.png", b"no picture"])
def test_bad_inputs_send_nothing_and_make_no_archive(
    client: cm.Client, sandbox: Any, tmp_path: Path, value: Any
) -> None:
    count = len(sandbox.log)

    with pytest.raises(InvalidRequestError):
        client.generate("make it night", image=value)

    assert len(sandbox.log) == count
    assert not (tmp_path / "archive").exists()


class HalfRead(LoopbackServer):
    """Reads a part of each request's body, and never more."""

    base_url: str

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[Head] = []

    async def opened(self) -> None:
        self.base_url = f"http://127.0.0.1:{await self.listen(self._serve)}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if head is not None:
            await reader.readexactly(1000)
            self.heads.append(head)
            await asyncio.Event().wait()


@pytest.fixture
def half_read() -> Iterator[HalfRead]:
    with HalfRead() as server:
        yield server
        assert server.crashes == []


def test_an_upload_that_is_stopped_is_not_sent_again(half_read: HalfRead, tmp_path: Path) -> None:
    large = noise("image/png", "RGB", (2000, 2000))  # twice what the buffers between the two hold
    with cm.Client(base_url=half_read.base_url, api_key="k", archive=tmp_path / "archive") as client:
        job = client.submit("make it night", image=large, resize=False, **LOW)
        assert until(lambda: half_read.heads)
        job.drop()
        with pytest.raises(cm.CometError) as caught:
            job.result(60)
        (entry,) = client.archive.history()

    assert caught.value.outcome in ("unknown", "not_sent")
    assert entry.state == "unknown"
    assert len(half_read.heads) == 1


def test_nothing_is_left_in_the_folder_for_temporary_files(
    client: cm.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    noise = Image.effect_noise((1024, 1024), 90).convert("RGB")

    client.generate("make it night", image=noise, **LOW)

    def left() -> list[Path]:
        gc.collect()
        return list(temporary.iterdir())

    # The threads of the client and of the sandbox let their files go a moment after the answer.
    assert until(lambda: not left())
