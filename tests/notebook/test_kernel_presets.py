"""Presets, more of the same, and pictures side by side, in a real kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Kernel


def test_a_preset_is_kept_used_listed_and_removed(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"import os; os.environ['XDG_CONFIG_HOME'] = {str(tmp_path / 'config')!r}")

    kept = kernel.run(
        '%cometimg_preset cheap --quality low --size square --template "{prompt}, on {{old}} paper"'
    )
    kernel.run("%config CometMagics.quality = 'high'")
    made = kernel.run("%%cometimg --preset cheap --size 16:9 -o boats\na {paper} boat")
    planned = kernel.run("%cometimg --preset cheap --dry-run a boat")
    listed = kernel.run("%cometimg_preset")
    kernel.run("%config CometMagics.quality = None")
    wrong = kernel.run("%cometimg --preset cheep a boat")
    removed = kernel.run("%cometimg_preset --delete cheap")

    assert f"kept cheap in {tmp_path / 'config/comet_magic/presets.toml'}" in kept.stdout
    assert made.error is None
    assert kernel.value("boats.prompt, boats.request.quality, boats.request.size") == (
        "a {paper} boat, on {old} paper",
        "low",
        "1536x864",
    )
    assert kernel.value("boats.asked") == {"preset": "cheap", "prompt": "a {paper} boat", "size": "16:9"}
    assert "preset cheap" in made.captions[0].data["text/plain"]
    assert '"prompt": "a boat, on {old} paper"' in planned.stdout
    assert '"quality": "low"' in planned.stdout
    assert "size=square quality=low" in listed.shown[0].data["text/plain"]
    assert "watercolor" in listed.shown[0].data["text/html"]
    assert "there is no preset cheep" in str(wrong.error or wrong.stderr)
    assert "Did you mean cheap?" in str(wrong.error or wrong.stderr)
    assert "removed cheap" in removed.stdout


def test_wrong_use_of_the_preset_magic_is_one_line(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"import os; os.environ['XDG_CONFIG_HOME'] = {str(tmp_path / 'config')!r}")

    for line, problem in (
        ("--quality low", "name the preset that these flags are for"),
        ("a --delete a", "--delete NAME stands alone"),
        ("a", "at least one option or a template"),
        ("--delete ink", "it is shipped"),
        ("a --quality lowest", "quality is lowest"),
        ("a --template nothing", "must contain {prompt}"),
        ("a --api-key x", "there is no flag for a key"),
    ):
        ran = kernel.run(f"%cometimg_preset {line}")
        assert problem in str(ran.error or ran.stderr), line
    assert not (tmp_path / "config").exists()


def test_more_of_a_cells_pictures_an_upgrade_of_its_edit_and_both_side_by_side(kernel: Kernel) -> None:
    kernel.run("import comet_magic as cm\n%config CometMagics.reuse = True")
    kernel.run("%%cometimg --quality low --size 1024x1024 -o boat\na paper boat")
    kernel.run(
        "%%cometimg --quality low --size 1024x1024 --image boat --mask 0,0,400,400 -o night\nmake it night"
    )

    more = kernel.run("more = boat.more(2); more")
    kernel.run("best = night.upgrade()")
    shown = kernel.run("cm.compare(night, best=best)")

    assert len(more.shown) == 1
    assert kernel.value("len({*boat.paths, *more.paths}), more.request == boat.request") == (3, False)
    assert kernel.value(
        "best.parents == night.parents, best.request.quality, best.request.inputs.mask is not None"
    ) == (
        True,
        "high",
        True,
    )
    assert shown.shown[0].data["text/html"].count("<img ") == 2
    assert "quality=high" in shown.shown[0].data["text/plain"]
