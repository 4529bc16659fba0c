"""Outside a mask the original is put back, to the pixel; inside, the answer stands; what a server ignored is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comet_magic.images import Picture, paste_back, prepare_inputs


def noise(mode: str, size: tuple[int, int], seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], len(mode)), np.uint8), mode)


def answer(image: Image.Image) -> Picture:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return Picture(out.getvalue(), "image/png", *image.size)


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.data)))


@given(
    st.sampled_from(["RGB", "RGBA"]),
    st.sampled_from(["gpt-image-2", "gpt-image-1.5"]),
    st.tuples(st.integers(16, 70), st.integers(16, 70)),
    st.data(),
)
def test_outside_the_mask_every_pixel_is_the_originals(
    mode: str, model: str, size: tuple[int, int], data: st.DataObject
) -> None:
    left, top = data.draw(st.integers(0, size[0] - 2)), data.draw(st.integers(0, size[1] - 2))
    box = (
        left,
        top,
        data.draw(st.integers(left + 1, size[0] - 1)),
        data.draw(st.integers(top + 1, size[1] - 1)),
    )
    original, came = noise(mode, size, 1), noise("RGB", size, 2)
    inputs = prepare_inputs({"image": original, "mask": box, "model": model})

    beside = paste_back(answer(came), inputs)

    outside = np.ones((size[1], size[0]), bool)
    outside[box[1] : box[3], box[0] : box[2]] = False
    result = pixels(beside.picture)
    assert (
        result[outside] == np.asarray(original.convert(f"RGB{'A' * (result.shape[2] == 4)}"))[outside]
    ).all()
    assert beside.scaled is False
    assert beside.picture.unpasted == answer(came).data


def test_deep_inside_the_mask_the_answer_stands_and_its_edge_is_soft() -> None:
    black, white = Image.new("RGB", (100, 100), "black"), Image.new("RGB", (100, 100), "white")
    inputs = prepare_inputs({"image": black, "mask": (20, 20, 80, 80)})

    row = pixels(paste_back(answer(white), inputs).picture)[50, :, 0]

    assert set(row[25:75]) == {255}
    edge = [int(value) for value in row[18:25]]
    assert edge == sorted(edge)
    assert 0 < edge[3] < 255


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_thin_mask_still_changes_something(width: int) -> None:
    black, white = Image.new("RGB", (60, 60), "black"), Image.new("RGB", (60, 60), "white")
    inputs = prepare_inputs({"image": black, "mask": (30, 0, 30 + width, 60)})

    assert pixels(paste_back(answer(white), inputs).picture)[30, 30 : 30 + width, 0].max() == 255


@pytest.mark.parametrize("place", [0, 1, 37, 98, 199])
@pytest.mark.parametrize("edge", [50, 77, 199])
def test_a_thin_mask_still_changes_something_in_a_smaller_answer(place: int, edge: int) -> None:
    black, white = Image.new("RGB", (200, 200), "black"), Image.new("RGB", (edge, edge), "white")
    inputs = prepare_inputs({"image": black, "mask": (place, 0, place + 1, 200)})

    changed = pixels(paste_back(answer(white), inputs).picture)[edge // 2, :, 0]

    assert changed.max() == 255
    assert sum(changed > 0) <= 2


def test_an_answer_of_another_size_gets_the_original_scaled_and_says_so() -> None:
    original = noise("RGB", (64, 48), 3)
    inputs = prepare_inputs({"image": original, "mask": (0, 0, 32, 48)})

    beside = paste_back(answer(Image.new("RGB", (128, 96), "lime")), inputs)

    assert beside.scaled is True
    scaled = np.asarray(original.resize((128, 96), Image.Resampling.LANCZOS))
    assert (pixels(beside.picture)[:, 64:] == scaled[:, 64:]).all()


def test_a_server_that_ignored_the_mask_is_found_out_and_one_that_blurred_its_edge_is_not() -> None:
    original = noise("RGB", (100, 100), 4)
    inputs = prepare_inputs({"image": original, "mask": (40, 40, 60, 60)})
    near = original.copy()
    near.paste("white", (33, 33, 67, 67))

    ignored = paste_back(answer(Image.new("RGB", (100, 100), "white")), inputs)
    kept = paste_back(answer(near), inputs)

    assert (ignored.ignored, kept.ignored) == (True, False)
    assert ignored.changed > 0.8
    assert kept.changed == 0


def test_what_the_model_could_not_see_counts_for_nothing() -> None:
    original = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    original.paste((10, 20, 30, 255), (0, 0, 50, 100))
    inputs = prepare_inputs({"image": original, "mask": (40, 40, 60, 60)})
    came = Image.new("RGBA", (100, 100), "white")
    came.alpha_composite(original)

    assert paste_back(answer(came.convert("RGB")), inputs).changed == 0
