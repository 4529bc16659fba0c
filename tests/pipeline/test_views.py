"""A dataset to look at: sheets with captions, one page of HTML, what a notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.errors import InvalidRequestError, SaveError

if TYPE_CHECKING:
    from pathlib import Path


Make = "Callable[..., Dataset]"
HOSTILE = "<script>alert(1)</script> $\\alpha$ 纸船"


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"a boat {number} {HOSTILE}", "label": f"class {number % 2}"} for number in range(count)
    ]


def test_a_sheet_has_captions_and_the_pictures_of_a_value_together(make: Make) -> None:
    report = make([*rows(12), {"prompt": "REFUSE a boat", "label": "none"}])

    plain = report.sheet(columns=4, width=400, sample=8)
    captioned = report.sheet(columns=4, width=400, sample=8, captions=True)
    grouped = report.sheet(columns=4, width=400, sample=8, by="label", captions=True)

    assert plain.size[0] == captioned.size[0] == grouped.size[0] == 400
    assert plain.size[1] < captioned.size[1] < grouped.size[1]
    assert report.sheet(sample=5).tobytes() == report.sheet(sample=5).tobytes()
    with pytest.raises(InvalidRequestError, match="there is no column lable; the columns are: prompt, label"):
        report.sheet(by="lable")
    with pytest.raises(InvalidRequestError, match="16 pixels for each"):
        report.sheet(columns=100, width=400, captions=True)


def test_one_page_has_every_row_and_the_texts_of_strangers_as_text(make: Make, tmp_path: Path) -> None:
    report = make([*rows(3), {"prompt": "REFUSE a boat", "label": HOSTILE}])

    path = report.to_html(tmp_path / "page.html")
    again = report.to_html(path, limit=2)

    page = again.read_text("utf-8")
    assert page.count("<tr data-status") == 2
    assert "The first 2 of 4 rows." in page
    assert page.count("<script>") == 1
    assert page.count("data:image/jpeg;base64,") == 2
    assert "default-src 'none'" in page
    assert str(tmp_path) not in page
    with pytest.raises(SaveError, match="cannot be written"):
        report.to_html(tmp_path / "dataset" / "index.sqlite" / "page.html")


def test_a_picture_that_is_gone_is_said_in_its_place(make: Make, tmp_path: Path) -> None:
    report = make(rows(3))
    report[0]["image"].path.unlink()

    page = report.to_html(tmp_path / "page.html").read_text("utf-8")

    assert "cannot be read" in page
    assert page.count("<img ") == 2
    assert report.sheet(captions=True).size[0] == 1024


def test_a_notebook_shows_counts_pictures_and_reasons(make: Make) -> None:
    shown = make([*rows(12), {"prompt": "REFUSE a boat", "label": "x"}])._repr_html_()

    assert shown.count("<img ") == 8
    assert "<b>12</b>" in shown
    assert "ContentPolicyError" in shown
    assert "0.48 spent" in shown
