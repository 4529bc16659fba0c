"""Edits in a real kernel: from a cell to the next one, with pictures changed by PIL between; and back to code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Kernel

LOW = "--quality low --size 1024x1024"


def test_pictures_go_from_cell_to_cell_and_run_all_with_reuse_costs_nothing(kernel: Kernel) -> None:
    cells = [
        f"%%cometimg {LOW} --reuse -o boats\na paper boat",
        "turned = boats[0].rotate(180)",
        f"%%cometimg {LOW} --reuse --image turned --mask 0,0,1024,400 -o red\na red sky",
        f"%cometimg {LOW} --reuse --edit make it night",
        "night = red.edit('make it fog', quality='low', size='1024x1024', reuse=True)",
    ]
    for code in cells:
        assert kernel.run(code).error is None
    assert kernel.value("len(red.parents), len(night.parents), red.cost > 0") == (0, 1, True)
    assert kernel.value(
        "red[0].crop((0, 400, 1024, 1024)).tobytes() == turned.crop((0, 400, 1024, 1024)).tobytes()"
    )
    calls = kernel.value("__import__('comet_magic').spend('sandbox').calls")

    for code in cells:
        assert kernel.run(code).error is None

    assert kernel.value("__import__('comet_magic').spend('sandbox').calls") == calls


def test_edit_without_a_picture_and_with_several_fails_in_a_sentence(fresh_kernel: Kernel) -> None:
    fresh_kernel.run("%load_ext comet_magic")

    nothing = fresh_kernel.run("%cometimg --edit make it night")
    fresh_kernel.run("%cometimg -m dall-e-2 --size 256x256 -n 2 boats")
    several = fresh_kernel.run("%cometimg --edit make it night")

    assert "there is no picture to edit yet" in str(nothing.error or nothing.stderr)
    assert "made 2 pictures; name the one to edit: --image boats[1]" in str(several.error or several.stderr)


def test_an_edit_is_given_back_as_a_cell_that_makes_it_again_for_nothing(kernel: Kernel) -> None:
    kernel.run(f"%%cometimg {LOW} -o boat\na paper boat at sea")
    kernel.run(f"%%cometimg {LOW} --image boat --mask 10,10,500,500 -o first\na red sail")
    kernel.run("from comet_magic.notebook.as_code import request_code")
    code = kernel.value("request_code(__import__('comet_magic').history('a red sail')[0].request)")

    assert "--image" in code
    assert "--mask" in code
    assert kernel.run(code.replace("%%cometimg", "%%cometimg --reuse -o again", 1)).error is None
    assert kernel.value("again.data == first.data, again.cost") == (True, 0.0)


def test_a_dry_run_of_an_edit_names_the_route_and_the_pictures(kernel: Kernel) -> None:
    kernel.run("from PIL import Image; square = Image.new('RGB', (1024, 1024), 'navy')")

    ran = kernel.run(f"%cometimg {LOW} --image square --dry-run add a moon")

    assert "/v1/images/edits" in ran.stdout
    assert '"image": "1024x1024 image/png"' in ran.stdout
    assert "price: at most $0.0114" in ran.stdout


def test_the_history_draws_a_tree_gives_stars_and_reads_a_saved_picture(kernel: Kernel) -> None:
    kernel.run(f"%cometimg {LOW} -o ship --save ship.png a ship")
    kernel.run(f"%cometimg {LOW} --edit --save foggy.png make it foggy")
    kernel.run("calls = [call.id[:8] for call in __import__('comet_magic').history(limit=2)]")

    tree = kernel.run("get_ipython().run_line_magic('cometimg_history', calls[1] + ' --tree')")
    star = kernel.run("get_ipython().run_line_magic('cometimg_history', calls[0] + ' --star')")
    starred = kernel.run(
        "%cometimg_history --starred --day " + kernel.value("str(__import__('datetime').date.today())")
    )
    came = kernel.run("get_ipython().run_line_magic('cometimg_history', '--parent ' + calls[1])")
    code = kernel.run("%cometimg_history foggy.png --as-code")
    wrong = kernel.run("%cometimg_history nowhere.png --as-code")

    assert "└─ " in tree.outputs[0].data["text/plain"]
    assert tree.outputs[0].data["text/html"].count("<img ") == 2
    assert "has a star" in star.stdout
    for shown in (starred, came):
        assert "make it foggy" in shown.outputs[0].data["text/plain"]
        assert "a ship" not in shown.outputs[0].data["text/plain"]
    payload = code.reply["payload"][0]["text"]
    assert payload.startswith("%%cometimg -m gpt-image-2 --size 1024x1024 --quality low --image ")
    assert payload.endswith("\nmake it foggy\n")
    assert "nowhere.png is neither" in wrong.traceback[0]
