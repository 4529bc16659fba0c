"""One request on a worker of any engine: made once, found again, checked like any other."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic import generate_one, start_sandbox
from comet_magic.archive import Archive
from comet_magic.errors import AmbiguousError, ContentPolicyError, InvalidRequestError
from comet_magic.request import ImageRequest
from tests.pipeline.endpoint import PICTURE, Endpoint
from tests.pipeline.maker import begin_and_die
from tests.processes import HOME

if TYPE_CHECKING:
    from pathlib import Path

KEY = {"api_key": "sandbox", "price_per_image": 0.04}


def request(prompt: str = "a boat") -> ImageRequest:
    return ImageRequest(prompt, model="test-model")


def test_one_picture_is_made_once_however_often_it_is_asked_for(endpoint: Endpoint, tmp_path: Path) -> None:
    first = generate_one(request(), tmp_path, base_url=endpoint.base_url, **KEY)
    again = generate_one(request().to_dict(), tmp_path, base_url=endpoint.base_url, **KEY)

    assert first == again
    assert (tmp_path / first["path"]).read_bytes() == PICTURE
    assert (first["copy"], first["cost"], first["mime"]) == (0, 0.04, "image/png")
    assert len(json.dumps(first)) < 1000
    assert endpoint.paid == 1


@pytest.mark.parametrize("redo", ["no", 0, None])
def test_nothing_is_paid_twice_by_a_word_that_is_not_true(
    endpoint: Endpoint, tmp_path: Path, redo: object
) -> None:
    with pytest.raises(InvalidRequestError, match=r"redo is .*; it must be True or False") as caught:
        generate_one(request(), tmp_path, redo=redo, base_url=endpoint.base_url, **KEY)
    assert caught.value.param == "redo"
    assert endpoint.paid == 0


def test_another_copy_is_another_picture(endpoint: Endpoint, tmp_path: Path) -> None:
    paths = {
        generate_one(request(), tmp_path, copy=copy, base_url=endpoint.base_url, **KEY)["path"]
        for copy in (0, 1)
    }

    assert len(paths) == endpoint.paid == 2


def test_what_was_begun_and_lost_is_not_sent_again_unasked(endpoint: Endpoint, tmp_path: Path) -> None:
    options = {"base_url": endpoint.base_url, **KEY}
    with pytest.raises(AmbiguousError, match="lost"):
        generate_one(request("LOST boat"), tmp_path, **options)

    with pytest.raises(AmbiguousError, match="begun by a worker that is gone") as caught:
        generate_one(request("LOST boat"), tmp_path, **options)
    assert caught.value.hint == "redo=True makes it again; it may be billed twice."
    with pytest.raises(AmbiguousError, match="lost"):
        generate_one(request("LOST boat"), tmp_path, redo=True, **options)

    assert endpoint.paid == 2


def test_what_was_refused_may_be_asked_again(endpoint: Endpoint, tmp_path: Path) -> None:
    options = {"base_url": endpoint.base_url, **KEY}
    with pytest.raises(ContentPolicyError):
        generate_one(request("REFUSE boat"), tmp_path, **options)
    endpoint.forgiving = True

    assert generate_one(request("REFUSE boat"), tmp_path, **options)["copy"] == 0


def test_an_answer_that_a_dead_worker_left_whole_is_finished_for_nothing(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.urls, endpoint.hold = True, 600
    begin_and_die(tmp_path / "store", endpoint)
    endpoint.hold = 0.0

    made = generate_one(request(), tmp_path / "store", base_url=endpoint.base_url, **KEY)

    assert (tmp_path / "store" / made["path"]).read_bytes() == PICTURE
    assert endpoint.paid == 1


def test_pictures_of_workers_are_found_by_an_archive_without_a_ledger(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    generate_one(request(), tmp_path / "store", base_url=endpoint.base_url, **KEY)

    archive = Archive(tmp_path / "store")
    archive.reconcile()
    stored = archive.stored(request().key("sandbox"))

    assert [picture.copy for picture in stored] == [0]
    archive.close()


def test_one_request_is_for_one_picture(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="n is 2"):
        generate_one(ImageRequest("a boat", model="test-model", n=2), tmp_path, **KEY)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prompt": "a boat", "model": "dall-e-2", "size": "999x1"}, "size is 999x1"),
        ({"prompt": "a boat", "quality": "ultra"}, "quality is ultra"),
        ({"prompt": "a boat", "sizes": "1:1"}, "sizes is not a parameter"),
        ({"prompt": "a boat", "n": 2}, "n is 2; generate_one makes 1 picture"),
        ({"prompt": "   "}, "prompt is empty"),
        ({"prompt": 5}, "prompt is 5"),
        ({"size": "1:1"}, "request is a mapping without prompt"),
        ("a boat", "request is str"),
    ],
)
def test_a_mapping_is_checked_like_a_request_before_anything_is_sent(
    given: Any, words: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        generate_one(given, tmp_path / "store", base_url=endpoint.base_url, **KEY)

    assert endpoint.asked == []
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "a boat", "size": "16:9", "quality": "low"},
        {"prompt": "a boat", "stream": False, "n": None},
        {"prompt": "a boat", "model": "test-model", "extra": {"seed": 7}},
        {"prompt": "a boat", "size": None},
    ],
)
def test_a_mapping_and_its_request_are_the_same_picture(
    given: dict[str, Any], endpoint: Endpoint, tmp_path: Path
) -> None:
    first = generate_one(given, tmp_path, base_url=endpoint.base_url, **KEY)
    again = generate_one(ImageRequest(**given), tmp_path, base_url=endpoint.base_url, **KEY)

    assert first == again
    assert endpoint.paid == 1


ON_RAY = """
import json, sys
import ray
import comet_magic as cm
rows = [{"prompt": f"boat {number}", "quality": "low"} for number in range(9)]
max_cost, price_of_one = 2.0, 0.25
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1", _temp_dir=sys.argv[1])
RECIPE
print(json.dumps(made))
"""


@pytest.mark.judge
def test_the_recipe_for_ray_makes_each_row_once_within_the_budget(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is in no extra: pip install ray")
    printed = re.search(r"On Ray.*?:\n\n(.*?)\n\nOn Spark", inspect.getdoc(generate_one) or "", re.DOTALL)
    assert printed is not None
    recipe = textwrap.dedent(printed[1])
    assert len(recipe.splitlines()) <= 10
    script = ON_RAY.replace("RECIPE", recipe.replace("/shared/boats", str(tmp_path)))
    with start_sandbox() as sandbox, tempfile.TemporaryDirectory(prefix="ray") as short:
        env = {
            **os.environ,
            "COMETAPI_BASE_URL": sandbox.base_url,
            "COMETAPI_KEY": "sandbox",
            "PYTHONPATH": HOME,
        }
        command = [sys.executable, "-c", script, short]
        ended = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=100)
        posts = [entry.status for entry in sandbox.log if entry.method == "POST"]

    assert ended.returncode == 0, ended.stderr
    made = json.loads(ended.stdout.splitlines()[-1])
    assert all((tmp_path / one["path"]).stat().st_size == one["size"] for one in made)
    assert (len({one["path"] for one in made}), posts) == (8, [200] * 8)
