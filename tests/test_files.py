from __future__ import annotations

import os
import stat
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comet_magic.errors import ConfigurationError
from comet_magic.files import (
    make_folder,
    make_private_folder,
    native,
    open_no_follow,
    place,
    replaced,
    slug,
    write_whole,
)
from tests.examples import fewer

from .processes import run, start

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.part"))


# --- names --------------------------------------------------------------------------------------------


@given(st.text(st.characters(), max_size=400))
@example("../../etc/passwd")
@example("CON")
@example("con.png")
@example("LPT9 ")
@example("a" * 400)
@example("漢" * 400)
@example("🏴‍☠️❤️👩‍👩‍👧")
@example("\u202etxt.exe")
@example("\ud800\0\x1b[2J")
@example("ﷺ" * 30)
@example("e\u0301" * 60)
@example("ㅤ")
def test_a_prompt_becomes_a_name_that_every_system_takes(prompt: str) -> None:
    name = slug(prompt)

    assert name == slug(prompt)
    assert 0 < len(name.encode()) <= 66
    assert unicodedata.is_normalized("NFC", name)
    assert not set(name) & set('<>:"/\\|?*. ')
    assert all(unicodedata.category(c)[0] in "LMN" or c == "-" for c in name)
    assert not name.startswith("-")
    assert not name.endswith("-")
    assert name.lower() not in RESERVED


@fewer
@given(st.text(st.characters(), max_size=60))
def test_such_a_name_is_found_again_on_this_disk(
    tmp_path_factory: pytest.TempPathFactory, prompt: str
) -> None:
    folder = tmp_path_factory.mktemp("names")
    path = folder / f"{slug(prompt)}.png"

    write_whole(path, b"1")

    assert [found.name for found in folder.iterdir()] == [path.name]
    assert path.is_relative_to(folder)


def test_a_name_reads_like_the_prompt() -> None:
    assert slug("A paper boat, floating on CALM water!") == "a-paper-boat-floating-on-calm-water"
    assert slug("नमस्ते दुनिया") == "नमस्ते-दुनिया"
    assert slug("Ein Schiff aus Papier für Zoë") == "ein-schiff-aus-papier-für-zoë"


def test_a_name_is_cut_between_words_where_that_keeps_half_of_it() -> None:
    assert slug("a lighthouse in a storm", max_bytes=20) == "a-lighthouse-in-a"
    assert slug("a" * 5 + " " + "b" * 50, max_bytes=20) == "aaaaa-bbbbbbbbbbbbbb"


def test_a_letter_is_not_cut_from_its_marks() -> None:
    name = slug("x" * 18 + "क्षि", max_bytes=22)

    assert name == "x" * 18


# --- whole or absent ----------------------------------------------------------------------------------


def test_a_file_is_private_whole_and_without_leftovers(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.png", (b"12", b"34"))

    assert (tmp_path / "a.png").read_bytes() == b"1234"
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_bytes_are_durable_before_the_name_and_the_name_before_the_end(tmp_path: Path) -> None:
    called: list[str] = []

    def note(frame: object, event: str, function: object) -> None:
        name = getattr(function, "__name__", "")
        if event == "c_call" and name in {"fsync", "link", "unlink"}:
            called.append(name)

    sys.setprofile(note)
    try:
        write_whole(tmp_path / "a.png", b"1")
    finally:
        sys.setprofile(None)

    assert called[:2] == ["fsync", "link"]
    assert called[-1] == "fsync"


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")

    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a.png", b"new")

    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "a.png").symlink_to(victim)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")

    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a.png", b"new")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "dangling.png", b"new")

    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def cut_off() -> object:
        yield b"first"
        raise OSError("the source broke")

    with pytest.raises(OSError, match="source broke"):
        write_whole(tmp_path / "a.png", cut_off())

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    script = f"""
import resource
from pathlib import Path
from comet_magic.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path({str(tmp_path)!r}) / "a.png", bytes(5000))
except OSError as error:
    print(type(error).__name__)
"""
    assert run(script) == "OSError\n"
    assert list(tmp_path.iterdir()) == []


def test_a_finished_part_gets_its_name(tmp_path: Path) -> None:
    part = tmp_path / "spool.body"
    part.write_bytes(b"1")

    place(part, tmp_path / "a.png")

    assert (tmp_path / "a.png").read_bytes() == b"1"
    assert not part.exists()


def test_a_part_whose_name_is_taken_stays_where_it_is(tmp_path: Path) -> None:
    part = tmp_path / "spool.body"
    part.write_bytes(b"new")
    (tmp_path / "a.png").write_bytes(b"old")

    with pytest.raises(FileExistsError):
        place(part, tmp_path / "a.png")

    assert part.read_bytes() == b"new"
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_a_part_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "part").symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match="symbolic link"):
        place(tmp_path / "part", tmp_path / "a.png")

    assert not (tmp_path / "a.png").exists()


def test_a_folder_without_links_still_never_overwrites(tmp_path: Path) -> None:
    script = f"""
import errno, os, sys
from pathlib import Path
def no_links(event, args):
    if event == "os.link":
        raise OSError(errno.EPERM, "this file system knows no links")
sys.addaudithook(no_links)
from comet_magic.files import write_whole
folder = Path({str(tmp_path)!r})
write_whole(folder / "a.png", b"first")
try:
    write_whole(folder / "a.png", b"second")
except FileExistsError:
    print((folder / "a.png").read_bytes(), sorted(os.listdir(folder)))
"""
    assert run(script) == "b'first' ['a.png']\n"


def test_two_processes_with_one_name_lose_nothing(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from comet_magic.files import write_whole
for n in range(30):
    number = 0
    while True:
        try:
            write_whole(Path({str(tmp_path)!r}) / f"boat-{{number}}.png", f"{{sys.argv[1]}} {{n}}".encode())
            break
        except FileExistsError:
            number += 1
"""
    writers = [start(script, name) for name in ("a", "b")]

    assert [writer.communicate(timeout=60) for writer in writers] == [("", "")] * 2
    written = sorted(path.read_text() for path in tmp_path.iterdir())
    assert written == sorted(f"{name} {n}" for name in ("a", "b") for n in range(30))


def test_a_locale_that_cannot_spell_the_name_writes_it_all_the_same(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from comet_magic.files import native, write_whole
assert sys.getfilesystemencoding() == "ascii", sys.getfilesystemencoding()
path = Path({str(tmp_path)!r}) / "b\\xf6t-\\u6f22.png"
write_whole(path, b"1")
print(ascii(native(path).read_bytes()))
"""
    plain = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert run(script, env=plain) == "b'1'\n"
    assert [path.name for path in tmp_path.iterdir()] == ["böt-漢.png"]


# --- links, and files that are replaced ---------------------------------------------------------------


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC])
def test_a_file_is_opened_itself_and_never_what_a_link_leads_to(tmp_path: Path, flags: int) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")

    for name in ("link", "dangling"):
        with pytest.raises(OSError, match="symbolic link"):
            open_no_follow(tmp_path / name, flags)
    os.close(open_no_follow(tmp_path / "victim", flags & ~os.O_TRUNC))

    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_is_opened_new_is_private(tmp_path: Path) -> None:
    os.close(open_no_follow(tmp_path / "a", os.O_RDWR | os.O_CREAT))

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_replaced_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    with replaced(path) as file:
        file.write(b"first")
    with replaced(path) as file:
        file.write(b"second")
        assert path.read_bytes() == b"first"

    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert leftovers(tmp_path) == []


def test_a_file_whose_replacement_fails_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"first")

    def cut_off() -> None:
        with replaced(tmp_path / "a.json") as file:
            file.write(b"second")
            raise OSError("the source broke")

    with pytest.raises(OSError, match="source broke"):
        cut_off()

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.json", b"first")]


# --- folders ------------------------------------------------------------------------------------------


def test_a_private_folder_is_private_and_unseen_by_git(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "deep" / "cometimg")

    folder = tmp_path / "deep" / "cometimg"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [".gitignore"]
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_with_other_things_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").write_text("mine")

    make_private_folder(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "cometimg").write_text("")

    with pytest.raises(ConfigurationError, match="it is a file") as caught:
        make_private_folder(tmp_path / "cometimg")

    assert caught.value.outcome == "not_sent"
    assert caught.value.__context__ is None


def test_a_folder_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be written: Not a directory"):
        make_private_folder(tmp_path / "file" / "cometimg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(ConfigurationError, match="Permission denied"):
        make_private_folder(tmp_path)


def test_a_place_where_nothing_can_be_made_is_told() -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        make_private_folder(Path("/proc/cometimg"))


def test_making_a_folder_twice_is_no_fault(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_native_path_is_the_same_path() -> None:
    assert native("a/ö") == Path("a/ö")


# --- the borders of names ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "longest", "name"),
    [
        ("x" * 100, 60, "x" * 60),
        ("a" * 20, 20, "a" * 20),
        ("a" * 10 + " " + "b" * 30, 20, "a" * 10 + "-" + "b" * 9),
        ("a" * 11 + " " + "b" * 30, 20, "a" * 11),
        ("a" * 9 + " " + "b" * 10 + " ccc", 20, "a" * 9 + "-" + "b" * 10),
        ("\u00e9" * 40, 21, "\u00e9" * 10),
        ("a" * 12 + " " + "b" * 7 + " cc", 20, "a" * 12 + "-" + "b" * 7),
        ("ab \u0301c", 60, "ab-c"),
        ("\u0301a", 60, "a"),
        ("a \u0301b", 60, "a-b"),
        ("7 boats \u0663 x\u00b2", 60, "7-boats-\u0663-x"),
        ("a\u3164b", 60, "a-b"),
        (" " * 999 + "b", 60, "b"),
        (" " * 1000 + "b", 60, "image"),
        ("?!", 60, "image"),
        ("CON", 60, "con-image"),
    ],
)
def test_a_name_at_the_border_of_each_rule(prompt: str, longest: int, name: str) -> None:
    assert slug(prompt, max_bytes=longest) == name


def test_sixty_bytes_are_the_usual_length() -> None:
    assert slug("x" * 100) == "x" * 60
