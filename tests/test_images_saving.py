import os
import stat
import sys
from pathlib import Path

import pytest

from comet_magic.errors import SaveError
from comet_magic.images import Images, obstacle, read_metadata
from comet_magic.text import Secret

from .images_made import made, noise, picture, pixels

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"


def images(*datas, **facts):
    return Images(
        [picture(data) for data in datas], **{"prompt": "A paper boat, at sea", "model": "m", **facts}
    )


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


class TestAFolder:
    def test_that_exists_gets_names_from_the_prompt(self, tmp_path):
        assert images(made()).save(tmp_path) == [tmp_path / "a-paper-boat-at-sea.png"]
        assert images(made(WEBP), made(JPEG)).save(str(tmp_path)) == [
            tmp_path / "a-paper-boat-at-sea-1.webp",
            tmp_path / "a-paper-boat-at-sea-2.jpg",
        ]

    def test_is_made_where_the_path_ends_in_a_slash(self, tmp_path):
        images(made()).save(f"{tmp_path}/new/deep/")
        assert names(tmp_path / "new" / "deep") == ["a-paper-boat-at-sea.png"]

    def test_gets_further_names_where_names_are_taken(self, tmp_path):
        one, two = images(made()), images(made(), made(PNG, "L"))
        for kept in (one, one, two, two, one):
            kept.save(tmp_path)
        assert names(tmp_path) == [
            "a-paper-boat-at-sea-1.png",
            "a-paper-boat-at-sea-2.png",
            "a-paper-boat-at-sea-3.png",
            "a-paper-boat-at-sea-4.png",
            "a-paper-boat-at-sea-5.png",
            "a-paper-boat-at-sea-6.png",
            "a-paper-boat-at-sea.png",
        ]

    @pytest.mark.parametrize(
        "prompt", ["../../etc/passwd", "CON", "..", "a\0b", "/", "\ud800", "💥" * 500, ""]
    )
    def test_holds_whatever_the_prompt_says(self, tmp_path, prompt):
        (path,) = images(made(), prompt=prompt).save(tmp_path)
        assert path.parent == tmp_path
        assert names(tmp_path) == [path.name]

    def test_of_the_home_folder_is_found(self, tmp_path):
        images(made()).save("~/pictures/")
        assert names(tmp_path / "pictures") == ["a-paper-boat-at-sea.png"]

    def test_gets_nothing_of_no_pictures(self, tmp_path):
        assert images().save(tmp_path) == images().save(tmp_path / "boat.png") == []
        assert names(tmp_path) == []


class TestAFile:
    def test_is_named_as_asked(self, tmp_path):
        assert images(made()).save(tmp_path / "boat.png") == [tmp_path / "boat.png"]
        assert images(made(JPEG)).save(tmp_path / "new" / "boat.JPEG") == [tmp_path / "new" / "boat.JPEG"]
        assert images(made(JPEG)).save("here.jpg") == [Path("here.jpg")]

    @pytest.mark.parametrize(
        ("mime", "asked", "named"),
        [
            (PNG, "boat.jpg", "boat.png"),
            (PNG, "boat.JPEG", "boat.png"),
            (JPEG, "boat.png", "boat.jpg"),
            (WEBP, "boat.png", "boat.webp"),
            (PNG, "boat", "boat.png"),
            (PNG, "boat.v2", "boat.v2.png"),
            (PNG, ".hidden", ".hidden.png"),
            (PNG, "boat.png.jpg", "boat.png.png"),
        ],
    )
    def test_has_the_suffix_of_its_bytes(self, tmp_path, mime, asked, named):
        assert images(made(mime)).save(tmp_path / asked) == [tmp_path / named]

    def test_of_several_is_numbered(self, tmp_path):
        images(made(), made(JPEG), made(WEBP)).save(tmp_path / "boat.jpeg")
        assert names(tmp_path) == ["boat-1.png", "boat-2.jpeg", "boat-3.webp"]

    @pytest.mark.parametrize("suffix", [".gif", ".TIFF", ".bmp", ".svg", ".pdf", ".avif"])
    def test_of_another_kind_is_refused(self, tmp_path, suffix):
        with pytest.raises(SaveError, match="kept as they came, png, jpg or webp"):
            images(made()).save(tmp_path / f"boat{suffix}")
        assert names(tmp_path) == []

    def test_is_never_written_over(self, tmp_path):
        (tmp_path / "boat-2.png").write_text("mine")
        (tmp_path / "loose.png").symlink_to(tmp_path / "nowhere")
        kept = images(made(), made())
        with pytest.raises(SaveError, match=r"boat-2\.png exists already; nothing was written") as caught:
            kept.save(tmp_path / "boat.png")
        assert caught.value.images is kept
        assert caught.value.outcome == "billed"
        assert caught.value.__context__ is None
        with pytest.raises(SaveError, match="exists already"):
            kept[:1].save(tmp_path / "loose.jpg")
        assert names(tmp_path) == ["boat-2.png", "loose.png"]
        assert (tmp_path / "boat-2.png").read_text() == "mine"

    def test_that_cannot_be_written_is_told_with_its_pictures(self, tmp_path):
        (tmp_path / "file").write_text("")
        kept = images(made())
        with pytest.raises(SaveError, match="cannot be written: ") as caught:
            kept.save(tmp_path / "file" / "boat.png")
        assert caught.value.images is kept
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("path", ["a\0b.png", "\ud800.png", "~nobody-of-that-name/boat.png"])
    def test_that_no_system_can_spell_is_told(self, tmp_path, path):
        with pytest.raises(SaveError, match="cannot be written"):
            images(made(), made()).save(path)
        assert names(tmp_path) == []

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on files there")
    def test_that_does_not_fit_on_the_disk_is_told_and_leaves_nothing(self, tmp_path):
        import resource

        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        kept = images(noise(size=(100, 100)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(SaveError, match="too large") as caught:
                kept.save(tmp_path / "boat.png")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert caught.value.images is kept
        assert names(tmp_path) == []

    def test_has_the_mode_the_user_wants_for_new_files(self, tmp_path):
        before = os.umask(0o027)
        try:
            (path,) = images(made()).save(tmp_path / "boat.png")
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


class TestWhatIsWritten:
    @pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
    def test_has_the_same_pixels_and_the_request(self, tmp_path, mime):
        one = Images(
            [picture(made(mime), revised_prompt="A boat.", request_id="req_1")],
            prompt="a 纸 boat",
            model="gpt-image-2",
            created=1_800_000_000,
        )
        (path,) = one.save(tmp_path / "boat")
        assert pixels(path.read_bytes()) == pixels(made(mime))
        assert read_metadata(path) == {
            "software": "comet_magic",
            "prompt": "a 纸 boat",
            "model": "gpt-image-2",
            "size": "48x32",
            "created": 1_800_000_000,
            "revised_prompt": "A boat.",
            "request_id": "req_1",
        }

    @pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
    def test_is_every_byte_of_the_provider_where_metadata_is_not_wanted(self, tmp_path, mime):
        (path,) = images(made(mime)).save(tmp_path / "boat", metadata=False)
        assert path.read_bytes() == made(mime)

    def test_holds_no_key_that_a_server_repeats(self, tmp_path):
        key = Secret("sk-proj-0123456789abcdef")
        one = Images([picture(made(), revised_prompt=f"a boat {key.reveal()}")], prompt="a boat")
        (path,) = one.save(tmp_path / "boat")
        assert key.reveal().encode() not in path.read_bytes()
        assert read_metadata(path)["revised_prompt"] == "a boat [hidden]"


class TestAnObstacle:
    """What stands in the way is told before the pictures are paid for, in the words that saving has."""

    @pytest.mark.parametrize("path", ["new/boat.png", "new/", "boat", "boat.jpeg"])
    def test_is_none_where_saving_will_work(self, tmp_path, path):
        images(made(), made()).save(f"{tmp_path}/{path}")
        assert obstacle(f"{tmp_path}/other-{path}", ["image/png"] * 2) == ""

    @pytest.mark.parametrize("path", ["boat.gif", "boat", "boat-1.png/deep/", "boat-1.png/boat.png"])
    def test_is_what_saving_would_say(self, tmp_path, monkeypatch, path):
        monkeypatch.chdir(tmp_path)
        images(made(), made()).save("boat")
        told = obstacle(path, ["image/png"] * 2)
        assert told
        with pytest.raises(SaveError) as caught:
            images(made(), made()).save(path)
        assert told.split()[0] in str(caught.value)

    def test_of_a_user_who_is_not_there_is_told(self):
        assert "cannot be written" in obstacle("~nobody-of-that-name/boat.png", ["image/png"])

    def test_of_a_kind_that_is_not_known_counts_on_a_png(self, tmp_path):
        assert obstacle(f"{tmp_path}/boat", ["image/avif"]) == ""
