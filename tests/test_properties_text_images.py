"""Whatever comes in: texts, addresses and pictures of strangers end in a value or in one of our errors."""

import base64
import io
import pickle
import string
import struct
import unicodedata
import warnings
import zlib
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.provisional import domains
from PIL import Image

from comet_magic.addresses import check_ip, is_public, parse_picture_url
from comet_magic.errors import BadImageError, TooLargeError, UnsafeURLError
from comet_magic.formats import embed_metadata
from comet_magic.images import Images, Picture, bundle, check_picture, preview
from comet_magic.text import Secret, clean, clean_url, holds_key, html
from tests.examples import fewer

from .images_made import chunk, made, noise, pixels

PUBLIC = "https://api.example.com/v1"
ANY_TEXT = st.text(
    st.characters(codec=None) | st.sampled_from("\x1b[]m;\\/\u200b\u202e\ud800%&#?@:$<>\"'sk-")
)
LETTERS = string.ascii_letters + string.digits
KEYS = st.text(LETTERS + "-_", min_size=20, max_size=80).filter(lambda key: len(set(key.lower())) > 8)


def assert_evidence(error):
    assert error.__context__ is None
    assert len(str(error)) < 400
    assert all(kept.isascii() and kept.isprintable() for kept in error.urls)


def prefixes(word):
    return [word[:length] for length in range(len(word))]


class TestTheCleaner:
    @given(ANY_TEXT | st.text() | st.binary(), st.integers(1, 80))
    @example("\x1b]\x1b[0m[31mtext", 80)
    @example("https://a@https://b@c?d", 80)
    @example("bearer bearer a1b2c3", 14)
    def test_gives_a_short_printable_text_and_the_same_for_it(self, text, limit):
        cleaned = clean(text, limit=limit)
        assert len(cleaned) <= limit
        assert not [
            sign for sign in cleaned if unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t"
        ]
        assert not set(cleaned) & set(
            "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
        )
        assert clean(cleaned, limit=limit) == cleaned

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=9,
        )
    )
    @settings(max_examples=100)
    def test_takes_any_value(self, value):
        assert isinstance(clean(value), str)
        assert isinstance(clean_url(value), str)

    @given(ANY_TEXT)
    def test_gives_html_without_markup_of_the_text(self, text):
        inner = html(text).replace("<span>$</span>", "").replace("<span>\\</span>", "")
        assert not set(inner) & set("<>\"'$\\")

    @given(
        KEYS,
        st.sampled_from(
            ["plain", "upper", "quoted", "base64", "urlsafe", "spaced", "zero-width", "escaped", "entities"]
        ),
        st.text(LETTERS + " .,{}", max_size=30),
        st.text(LETTERS + " .,{}", max_size=30),
    )
    def test_hides_a_live_key_in_every_form(self, key, form, before, after):
        secret = Secret(key)
        cleaned = clean(f"{before} {_written(key, form)} {after}")
        assert key.lower() not in cleaned.lower()
        assert "[hidden]" in cleaned
        seen = cleaned.replace("[hidden]", "").replace(before, "").replace(after, "")
        raw = base64.b64decode(seen + "=" * (-len(seen) % 4), validate=False) if seen.isalnum() else b""
        assert key[4:-4].encode() not in raw
        assert holds_key(f"{before} {key} {after}")
        assert secret.reveal() == key

    @given(KEYS, st.binary(max_size=40), st.binary(max_size=40))
    def test_hides_a_key_inside_any_base64(self, key, before, after):
        secret = Secret(key)
        cleaned = clean(base64.b64encode(before + key.encode() + after).decode())
        left = "".join(sign if sign in LETTERS + "+/" else " " for sign in cleaned.replace("[hidden]", " "))
        for piece in left.split():
            for shift in range(4):
                raw = base64.b64decode(piece[shift : shift + (len(piece) - shift) // 4 * 4])
                assert not [at for at in range(len(key) - 7) if key[at : at + 8].encode() in raw]
        assert secret

    @given(KEYS, st.integers(5000, 7000))
    @settings(max_examples=50)
    def test_hides_a_key_that_the_window_cuts(self, key, at):
        secret = Secret(key)
        cleaned = clean("\x00" * at + f" {key}" * 60)
        assert cleaned.replace("[hidden]", "").removesuffix("…").strip() in ("", *prefixes("[hidden]"))
        assert secret


def _written(key, form):
    return {
        "plain": key,
        "upper": key.upper(),
        "quoted": "".join(f"%{ord(sign):02x}" for sign in key),
        "base64": base64.b64encode(key.encode()).decode(),
        "urlsafe": base64.urlsafe_b64encode(b"Bearer " + key.encode()).decode().rstrip("="),
        "spaced": " ".join(key),
        "zero-width": "\u200b".join(key),
        "escaped": "".join(f"\\u{ord(sign):04x}" for sign in key),
        "entities": "".join(f"&#{ord(sign)};" for sign in key),
    }[form]


HOSTS = st.one_of(
    st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip)),
    st.integers(0, 2**32).map(str),
    st.integers(0, 2**32).map(hex),
    domains(),
    st.text(min_size=1, max_size=20),
    st.sampled_from(
        ["localhost", "127.0.0.1", "metadata.google.internal", "１２７.0.0.1", "[::ffff:1.2.3.4]"]
    ),
)
URLS = st.one_of(
    ANY_TEXT,
    st.builds(
        "{}{}{}{}{}".format,
        st.sampled_from(["https://", "http://", "HTTPS://", "https:/", "//", "file://", ""]),
        st.sampled_from(["", "", "", "user@", "u:p@", "\\"]),
        HOSTS,
        st.sampled_from(["", "", ":443", ":0", ":65536", ":", ":٤"]),
        st.text(max_size=20).map(lambda text: f"/{text}") | st.sampled_from(["", "?q", "#f", "/ü?ö#ä"]),
    ),
)


class TestAddresses:
    @given(URLS, st.sampled_from([PUBLIC, "http://127.0.0.1:8000/v1", "http://localhost/v1"]) | URLS)
    def test_are_refused_by_our_error_or_fit_to_be_fetched(self, url, base):
        try:
            parsed = parse_picture_url(url, base_url=base)
        except UnsafeURLError as error:
            assert_evidence(error)
            return
        assert parsed.url.isascii()
        assert parsed.url.isprintable()
        assert not set(parsed.url) & set(" \\\r\n\t")
        assert parsed.target.startswith("/")
        assert 1 <= parsed.port <= 65535
        assert parsed.ip is None or is_public(parsed.ip) or parsed.trusted
        assert parse_picture_url(parsed.url, base_url=base) == parsed

    @fewer
    @given(st.ip_addresses().map(str) | st.text(max_size=50))
    def test_of_a_name_are_public_or_refused(self, ip):
        url = parse_picture_url("https://cdn.example.com/a.png", base_url=PUBLIC)
        try:
            check_ip(ip, url)
        except UnsafeURLError:
            return
        assert quote(ip, safe=":.") == ip

    @fewer
    @given(st.ip_addresses())
    def test_called_public_are_called_so_by_the_standard_library_too(self, ip):
        if is_public(ip):
            assert ip.is_global
            assert not any((ip.is_private, ip.is_multicast, ip.is_reserved, ip.is_loopback, ip.is_link_local))


SEEDS = [
    made("image/png"),
    made("image/jpeg"),
    made("image/webp"),
    made("image/png", "P"),
    made("image/jpeg", "CMYK", progressive=True),
    made("image/webp", "RGBA", lossless=True),
    noise("image/png", size=(8, 8)),
]


def _ends_well(data):
    """Check a picture that may be anything; what is accepted shows, saves and pickles, or raises our error.

    Gives whether it was accepted, and whether its pixels could be decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            mime, width, height = check_picture(data, max_pixels=100_000)
        except (BadImageError, TooLargeError) as error:
            assert_evidence(error)
            return False, False
        images = Images([Picture(data, mime, width, height)])
        assert images[0].size == (width, height)
        assert pickle.loads(pickle.dumps(images)).data == (data,)
        embedded = embed_metadata(data, mime, {"prompt": "a boat"})
        assert embedded == data or check_picture(embedded, max_pixels=100_000) == (mime, width, height)
        opened = {_opens(look) for look in (lambda: images.image, images.sheet, lambda: preview(data, 16))}
        assert len(opened) == 1
        assert {len(bundle(images, inline="preview")[0]) == 2} == opened
        return True, opened.pop()


def _opens(look):
    try:
        look()
    except BadImageError as error:
        assert_evidence(error)
        return False
    return True


def _decodes(png):
    try:
        Image.open(io.BytesIO(png)).load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


class TestPictures:
    @fewer
    @given(st.sampled_from(SEEDS), st.data())
    def test_with_flipped_bytes_open_or_are_refused(self, seed, data):
        changed = bytearray(seed)
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
        _ends_well(bytes(changed))

    @fewer
    @given(st.sampled_from(SEEDS), st.data())
    def test_with_bytes_cut_out_or_put_in_open_or_are_refused(self, seed, data):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(seed))] * 2)))
        _ends_well(seed[:start] + data.draw(st.binary(max_size=20)) + seed[end:])

    @fewer
    @given(st.data())
    def test_with_damage_behind_right_checksums_are_accepted_and_open_if_pillow_decodes_them(self, data):
        channels, width, height = data.draw(st.tuples(st.sampled_from([3, 4]), *[st.integers(1, 9)] * 2))
        filters = st.sampled_from([0, 1, 2, 3, 4, data.draw(st.sampled_from([0, 5, 255]))])
        rows = data.draw(st.integers(max(0, height - 1), height + 1))
        raw = b"".join(bytes([data.draw(filters), *range(channels * width)]) for _ in range(rows))
        packed = bytearray(
            zlib.compress(raw + data.draw(st.binary(max_size=3)), data.draw(st.sampled_from([0, 9])))
        )
        for _ in range(data.draw(st.integers(0, 2))):
            packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
        packed = packed[: len(packed) - data.draw(st.sampled_from([0, 0, 0, 1, 4, 5]))]
        cut = data.draw(st.integers(0, len(packed)))
        header = struct.pack(">IIBBBBB", width, height, 8, {3: 2, 4: 6}[channels], 0, 0, 0)
        parts = chunk(b"IHDR", header), *(chunk(b"IDAT", one) for one in (packed[:cut], packed[cut:]))
        png = b"\x89PNG\r\n\x1a\n" + b"".join((*parts, chunk(b"IEND", b"")))
        assert _ends_well(png) == (True, _decodes(png))

    @fewer
    @given(
        st.sampled_from([seed[:length] for seed in SEEDS for length in (8, 12, 16, 33)]),
        st.binary(max_size=200),
    )
    def test_of_any_bytes_behind_a_header_are_refused(self, head, tail):
        assert _ends_well(head + tail) == (False, False)

    @fewer
    @given(st.binary(max_size=300))
    def test_of_any_bytes_are_refused(self, data):
        with pytest.raises(BadImageError):
            check_picture(data, max_pixels=100)

    @given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["RGB", "RGBA", "L"]), st.integers(1, 80))
    @settings(max_examples=40)
    def test_of_any_size_have_a_preview_of_the_same_shape(self, width, height, mode, edge):
        data, _ = preview(made("image/png", mode, (width, height)), edge)
        small, _ = pixels(data)
        assert max(small) == min(edge, max(width, height))
        scale = min(1.0, edge / max(width, height))
        assert all(
            abs(now - max(1, was * scale)) <= 1 for now, was in zip(small, (width, height), strict=True)
        )

    @given(
        st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=9),
        st.integers(9, 300),
    )
    @settings(max_examples=40)
    def test_of_any_sizes_fit_on_one_sheet(self, sizes, width):
        images = Images([Picture(made("image/png", "RGB", size), "image/png", *size) for size in sizes])
        assert images.sheet(width=width).width == width
        assume(width < 100)
        out = io.BytesIO()
        images.sheet(columns=len(sizes), width=width).save(out, "PNG")
        with Image.open(out) as sheet:
            assert sheet.width == width
