"""Where the key and the base URL come from, which key goes where, and what no setting may be."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import comet_magic
from comet_magic import settings
from comet_magic.errors import ConfigurationError, MissingKeyError
from comet_magic.machine import archive_folder
from comet_magic.settings import (
    TRY_SANDBOX,
    ClientOptions,
    ConnectionOptions,
    Settings,
    find_key,
    resolve_base_url,
)
from comet_magic.text import Secret

KEY = "sk-settings-0123456789abcdef"
OTHER = "sk-other-0123456789abcdefgh"


@pytest.fixture(autouse=True)
def _forget_logins() -> None:
    settings.logout()


def key(given: str | None = None, base_url: str | None = None) -> tuple[str | None, str]:
    found = find_key(Secret(given) if given is not None else None, resolve_base_url(base_url))
    return (found.secret.reveal() if found.secret else None), found.source


@pytest.mark.parametrize(
    ("given", "url", "vendor"),
    [
        ("https://api.cometapi.com", "https://api.cometapi.com/v1", "cometapi"),
        ("https://api.cometapi.com/v1/", "https://api.cometapi.com/v1", "cometapi"),
        ("https://API.cometapi.com/v1/images/generations", "https://api.cometapi.com/v1", "cometapi"),
        ("https://gateway.example/@team/v1", "https://gateway.example/@team/v1", "gateway.example"),
        ("https://gateway.example/openai/v1", "https://gateway.example/openai/v1", "gateway.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1", "sandbox"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1", "sandbox"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", "sandbox"),
        (" http://127.0.0.1:8000/v1\n", "http://127.0.0.1:8000/v1", "sandbox"),
        (" https://localhost/v1", "https://localhost/v1", "sandbox"),
    ],
)
def test_a_base_url_is_taken_with_or_without_its_end(given: str, url: str, vendor: str) -> None:
    base = resolve_base_url(given)
    assert (base.url, base.vendor) == (url, vendor)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "api.cometapi.com",
        "ftp://api.cometapi.com/v1",
        "http://api.cometapi.com/v1",
        "http://192.168.0.4:8000/v1",
        "https://user:pass@api.cometapi.com/v1",
        "https://api.cometapi.com/v1?key=1",
        "https://api.cometapi.com/v1#x",
        "https://api.cometapi.com:99999/v1",
        "https://api.cometapi.com:0/v1",
        "https://api.comet\x01api.com/v1",
        "https:///v1",
        "https://api.comet api.com/v1",
        "https://api.cometapi.com\\@evil.example/v1",
        "https://[::1/v1",
    ],
)
def test_what_is_no_safe_base_url_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url is"):
        resolve_base_url(given)


def test_the_environment_names_the_base_url_and_an_argument_is_stronger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resolve_base_url().source == "default"
    monkeypatch.setenv("COMETAPI_BASE_URL", "https://gateway.example")
    assert resolve_base_url().url == "https://gateway.example/v1"
    assert resolve_base_url("https://other.example").source == "argument"


def test_a_dotenv_file_that_an_editor_of_windows_wrote_has_a_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfCOMETAPI_KEY=sk-dotenv-0123456789abcdef\r\n")
    (tmp_path / ".env").chmod(0o600)

    assert key()[0] == "sk-dotenv-0123456789abcdef"


def test_the_sources_of_the_key_have_an_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert key() == (None, "none")
    (tmp_path / ".env").write_text("COMETAPI_KEY=sk-dotenv-0123456789abcdef\n")
    (tmp_path / ".env").chmod(0o600)
    assert key() == ("sk-dotenv-0123456789abcdef", f"COMETAPI_KEY in {tmp_path / '.env'}")
    monkeypatch.setitem(sys.modules, "keyring", keyring_with("sk-keyring-0123456789abcde"))
    assert key() == ("sk-keyring-0123456789abcde", "keyring")
    monkeypatch.setenv("COMETAPI_API_KEY", OTHER)
    assert key() == (OTHER, "COMETAPI_API_KEY")
    monkeypatch.setenv("COMETAPI_KEY", KEY)
    assert key() == (KEY, "COMETAPI_KEY")
    settings.login(Secret("sk-login-0123456789abcdefg"), resolve_base_url())
    assert key() == ("sk-login-0123456789abcdefg", "%cometimg_login")
    assert key("sk-argument-0123456789abcd") == ("sk-argument-0123456789abcd", "argument")


def keyring_with(value: str | None) -> ModuleType:
    module, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]

    def get_password(service: str, user: str) -> str:
        assert (service, user) == ("comet_magic", "api.cometapi.com")
        if value is None:
            raise errors.KeyringError
        return value

    module.get_password, module.errors = get_password, errors  # type: ignore[attr-defined]
    sys.modules["keyring.errors"] = errors
    return module


def test_a_keyring_that_only_fails_is_left_out_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring.errors", ModuleType("keyring.errors"))
    monkeypatch.setitem(sys.modules, "keyring", keyring_with(None))
    assert key() == (None, "none")
    assert find_key(None, resolve_base_url()).notices == ("the keyring was left out: KeyringError",)


def test_an_alias_is_taken_with_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_API_KEY", KEY)
    assert "COMETAPI_KEY" in find_key(None, resolve_base_url()).notices[0]


@pytest.mark.parametrize("name", ["COMET_API_KEY", "OPENAI_API_KEY"])
def test_the_keys_of_other_companies_are_never_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, KEY)
    assert key() == (None, "none")


def test_an_environments_key_is_not_sent_to_an_address_that_a_cell_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COMETAPI_KEY", KEY)
    base = resolve_base_url("https://evil.example/v1")
    found = find_key(None, base)
    assert found.secret is None
    with pytest.raises(MissingKeyError, match=r"not sent to https://evil\.example") as caught:
        found.require(base)
    assert "api_key=" in caught.value.hint


def test_an_environments_key_goes_to_the_environments_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_KEY", KEY)
    monkeypatch.setenv("COMETAPI_BASE_URL", "https://gateway.example/v1")
    assert key(base_url="https://gateway.example/v1")[0] == KEY
    assert key(base_url="https://api.cometapi.com")[0] == KEY


def test_a_login_belongs_to_the_origin_it_was_made_for() -> None:
    settings.login(Secret(KEY), resolve_base_url("https://gateway.example"))
    assert key(base_url="https://gateway.example/v1")[0] == KEY
    assert key(base_url="https://evil.example/v1")[0] is None


def test_without_a_key_the_error_names_the_ways_on() -> None:
    base = resolve_base_url()
    with pytest.raises(MissingKeyError) as caught:
        find_key(None, base).require(base)
    assert "COMETAPI_KEY" in caught.value.hint
    assert TRY_SANDBOX in caught.value.hint


@pytest.mark.parametrize("value", ["sk-x\nHost: evil", "sk x", "ｓｋ－ｆｕｌｌ", "sk-\x00", "   "])
def test_what_no_header_may_hold_is_no_key_and_is_not_repeated(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        key(value)
    assert value.strip() == "" or value not in str(caught.value)


@pytest.mark.parametrize("given", [5, True, b"sk-settings-0123456789abcdef"])
def test_a_key_that_is_no_text_is_refused_and_not_repeated(given: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^api_key is not a text"):
        find_key(given, resolve_base_url())  # type: ignore[arg-type]


def test_a_line_break_at_its_end_is_cut_from_a_key() -> None:
    assert key(f"{KEY}\n")[0] == KEY


def test_a_dotenv_is_looked_for_up_to_the_git_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inner = tmp_path / "repository" / "notebooks"
    inner.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    (tmp_path / ".env").write_text(f"COMETAPI_KEY={OTHER}\n")
    monkeypatch.chdir(inner)
    assert key()[0] is None
    (tmp_path / "repository" / ".git").mkdir()
    assert key()[0] is None
    (tmp_path / "repository" / ".env").write_text(f"COMETAPI_KEY={KEY}\n")
    assert key()[0] == KEY


def test_a_dotenv_that_others_can_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"COMETAPI_KEY={KEY}\n")
    path.chmod(0o644)
    assert "chmod 600" in find_key(None, resolve_base_url()).notices[0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (f"COMETAPI_KEY={KEY}".encode("utf-16"), "it is not UTF-8 text"),
        (b"# \xe4\n", "it is not UTF-8 text"),
        (None, "Input/output error"),
    ],
    ids=["utf-16", "latin-1", "closed"],
)
def test_a_dotenv_that_cannot_be_read_is_told_and_not_repeated(
    tmp_path: Path, data: bytes | None, said: str
) -> None:
    path = tmp_path / ".env"
    if data is None:
        # Refuses to be read, as somebody else's file does, also where the tests run as root and may read everything.
        path.symlink_to("/proc/self/mem")
    else:
        path.write_bytes(data)
    found = find_key(None, resolve_base_url())
    assert (found.secret, found.source) == (None, "none")
    assert found.notices == (f"{path} was left out: {said}",)
    with pytest.raises(MissingKeyError) as caught:
        found.require(resolve_base_url())
    assert f"{path} was left out: {said}." in caught.value.hint
    assert KEY not in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", float("nan")),
        ("timeout", 10**400),
        ("timeout", "5"),
        ("connect_timeout", True),
        ("max_cost", 0),
        ("max_attempts", 0),
        ("max_attempts", 1.5),
        ("max_in_flight", "4"),
        ("max_image_bytes", -1),
        ("max_attempts", True),
        ("timeout", None),
        ("store_prompts", "no"),
        ("store_prompts", 0),
        ("store_prompts", None),
        ("archive", True),
        ("archive", 7),
        ("download_proxy", True),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is"):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_a_number_of_any_length_is_refused_in_a_short_sentence() -> None:
    with pytest.raises(
        ConfigurationError, match="timeout is a number of very many digits; it must be a number"
    ):
        Settings(timeout=10**5000)


def test_every_setting_is_refused_if_it_is_of_another_kind() -> None:
    for name in Settings.__annotations__:
        with pytest.raises(
            ConfigurationError, match=f"{name} is <object object at 0x[0-9a-f]+>; it must be a"
        ):
            Settings(**{name: object()})  # type: ignore[arg-type]


def test_a_client_takes_its_settings_a_key_and_a_base_url() -> None:
    own = ConnectionOptions.__annotations__.keys()
    assert ClientOptions.__annotations__.keys() == own | Settings.__annotations__.keys()
    for name in Settings.__annotations__:
        assert ClientOptions.__annotations__[name].__forward_arg__ == Settings.__annotations__[name]


@pytest.mark.parametrize("given", [True, 5, b"https://api.cometapi.com"])
def test_a_base_url_that_is_no_text_is_refused(given: object) -> None:
    with pytest.raises(ConfigurationError, match=r"base_url is .*; it must be an address"):
        resolve_base_url(given)  # type: ignore[arg-type]


def test_times_take_fractions_and_limits_take_tiny_values() -> None:
    made = Settings(timeout=0.001, max_image_bytes=1, max_cost=0.000001)
    assert (made.timeout, made.max_image_bytes) == (0.001, 1)


def test_the_archives_folder_is_the_argument_the_environment_or_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert archive_folder("cometimg") == Path("cometimg")
    monkeypatch.setenv("COMETIMG_ARCHIVE", "~/pictures")
    assert archive_folder("cometimg") == Path.home() / "pictures"
    assert archive_folder("here") == Path("here")
    assert archive_folder(None) is None
    monkeypatch.setenv("COMETIMG_ARCHIVE", "off")
    assert archive_folder("cometimg") is None


def test_a_script_without_a_key_ends_with_what_to_do(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMETAPI")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(comet_magic.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-c", "import comet_magic; comet_magic.generate('a boat')"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment,
    )  # fmt: skip

    *_, what, how, money = ran.stderr.splitlines()
    assert what == "comet_magic.errors.MissingKeyError: no API key was found"
    assert how.startswith("Set COMETAPI_KEY (get one at https://")
    assert money == "Nothing was sent and nothing is billed."


def test_a_note_that_somebody_adds_stands_behind_ours_and_survives_a_pickle() -> None:
    error = ConfigurationError("no", hint="Do it.")
    ours = ["Do it.", "Nothing was sent and nothing is billed."]
    assert pickle.loads(pickle.dumps(error)).__notes__ == ours
    error.add_note("while packing")
    assert pickle.loads(pickle.dumps(error)).__notes__ == [*ours, "while packing"]

    error.__notes__ = [*ours, "in a worker"]  # as pickles of Dask do
    assert error.__notes__ == [*ours, "in a worker"]
