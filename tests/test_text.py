import base64
import copy
import gc
import html as stdlib_html
import json
import pickle
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from comet_magic.text import Secret, clean, clean_url, counted, holds_key, html, without_keys

KEY = "sk-Ab3dE5gh7JkLm9PqRs/tUv+Wx12"


@pytest.fixture
def secret():
    return Secret(KEY)


class TestASecret:
    def test_gives_its_value_only_when_asked(self, secret):
        assert secret.reveal() == KEY
        for shown in (
            repr(secret),
            str(secret),
            f"{secret}",
            f"{secret:>40}",
            f"{secret!r}",
            "".join(["<", str(secret), ">"])[1:-1],
        ):
            assert shown == "Secret(…)"

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_is_not_pickled(self, secret, protocol):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            pickle.dumps({"key": secret}, protocol)

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
    def test_is_not_copied(self, secret, duplicate):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            duplicate(secret)

    def test_has_nothing_to_look_into(self, secret):
        for look in (vars, len, iter, json.dumps):
            with pytest.raises(TypeError):
                look(secret)

    def test_shows_nothing_inside_a_dataclass(self, secret):
        @dataclass
        class Config:
            key: Secret

        assert repr(Config(secret)).endswith("Config(key=Secret(…))")

    def test_equals_a_secret_of_the_same_value_and_nothing_else(self, secret):
        assert secret == Secret(KEY)
        assert hash(secret) == hash(Secret(KEY))
        assert secret != Secret(KEY + "x")
        assert (secret == KEY) is False

    def test_of_any_text_can_be_compared(self):
        assert Secret("\ud800ключ") != Secret("ключ")

    def test_is_not_found_by_its_parts_in_what_an_inspector_prints(self, secret):
        shown = "".join(map(repr, gc.get_referents(secret))) + repr(dir(secret))
        assert KEY[3:11] not in shown


FORMS = {
    "exact": KEY,
    "lower case": KEY.lower(),
    "upper case": KEY.upper(),
    "bearer": f"Bearer {KEY}",
    "URL-encoded": quote(KEY, safe=""),
    "every character URL-encoded": "".join(f"%{ord(sign):02X}" for sign in KEY),
    "JSON-escaped": json.dumps({"key": KEY}).replace("/", "\\/"),
    "JSON with code points": "".join(f"\\u{ord(sign):04x}" for sign in KEY),
    "Python escapes": "".join(f"\\x{ord(sign):02x}" for sign in KEY),
    "HTML entities": "".join(f"&#{ord(sign)};" for sign in KEY),
    "HTML entities in hex": "".join(f"&#x{ord(sign):x};" for sign in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 without padding": base64.b64encode(KEY.encode()).decode().rstrip("="),
    "URL-safe base64": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "base64 inside a longer text": base64.b64encode(b'{"key": "' + KEY.encode() + b'", "n": 1}').decode(),
    "base64 at the second place": base64.b64encode(b"x" + KEY.encode() + b"yz").decode(),
    "base64 at the third place": base64.b64encode(b"xy" + KEY.encode() + b"z").decode(),
    "split by blanks": " ".join(KEY),
    "split by lines": "\n".join(KEY[at : at + 4] for at in range(0, len(KEY), 4)),
    "split by zero-width characters": "\u200b".join(KEY),
    "split by colours": "\x1b[31m".join(KEY),
    "split by bullets": "•".join(KEY),
    "the first half": KEY[:14],
    "the second half": KEY[14:],
    "in an address": f"https://cdn.example/{KEY}/a.png",
}


def betrays(text):
    """Whether four characters of the key, in plain or in base64, stand in a row in the text."""
    seen = "".join(text.split()).lower()
    forms = [KEY, *(base64.b64encode(b" " * before + KEY.encode()).decode()[4:] for before in range(3))]
    return any(form[at : at + 4].lower() in seen for form in forms for at in range(len(form) - 3))


class TestKeysInTexts:
    @pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
    def test_are_hidden_in_every_form(self, secret, form):
        cleaned = clean(f"before {form} after")

        assert "[hidden]" in cleaned
        assert not betrays(cleaned)
        assert cleaned.startswith("before ")
        assert cleaned.endswith(" after")

    def test_leave_the_words_around_them(self, secret):
        assert clean(f"Incorrect API key provided: {KEY}. See the docs.") == (
            "Incorrect API key provided: [hidden]. See the docs."
        )
        assert clean(f'{{"key": "{KEY}"}} and {KEY}') == '{"key": "[hidden]"} and [hidden]'
        assert clean(f"key={KEY}&n=1") == "key=[hidden]&n=1"

    def test_are_hidden_where_the_text_was_cut_in_the_middle_of_one(self, secret):
        for before in range(5600, 6200, 3):
            cleaned = clean("\x00" * before + f" {KEY}" * 100)
            assert not cleaned.replace("[hidden]", "").strip(" …")

    def test_are_one_mark_where_one_follows_another(self, secret):
        assert clean(KEY + KEY) == "[hidden]"

    def test_of_two_clients_are_hidden_and_one_dies_alone(self):
        first, second, other = Secret(KEY), Secret(KEY), Secret("zq8-another-credential-71")
        del first
        assert clean(f"{KEY} zq8-another-credential-71") == "[hidden] [hidden]"
        del second
        gc.collect()
        assert clean(KEY[3:]) == KEY[3:]
        assert clean(other.reveal()) == "[hidden]"

    def test_of_a_form_known_to_be_a_key_are_hidden_without_being_known(self):
        assert clean("use sk-proj-abcdEFGH1234_5678-xyz or not") == "use [hidden] or not"
        assert clean("SK-PROJ-ABCDEFGH12345678") == "[hidden]"

    @pytest.mark.parametrize(
        "text",
        ["Bearer abc123.def~4", "bearer: abc123", "Authorization: Bearer  a1b2c3", "BEARER=xyz9/abc+d="],
    )
    def test_after_bearer_are_hidden(self, text):
        cleaned = clean(text)
        assert cleaned.endswith("[hidden]")
        assert cleaned.lower().startswith(("bearer", "authorization: bearer"))

    @pytest.mark.parametrize(
        "prompt",
        [
            "a standard-bearer silhouetted against the sky",
            "desk-organizer-with-drawers and a task-oriented-robot",
            "the sandbox paints sand in a sandbox; sk-8 park",
            "100% wool, 5 % off, &amp; a \\u-turn, C:\\new\\x",
            "$5; {braces} 'quotes' \"double\" — 你好 🙂",
        ],
    )
    def test_are_not_seen_in_ordinary_words(self, prompt):
        kept = Secret("sandbox")
        assert clean(prompt) == prompt
        assert kept.reveal() == "sandbox"

    def test_shorter_than_twenty_are_hidden_as_a_whole_only(self):
        kept = Secret("local-dev-key-1")
        assert clean("local-dev-key-1, local-dev-key") == "[hidden], local-dev-key"
        assert clean(base64.b64encode(kept.reveal().encode()).decode()).startswith("[hidden]")

    def test_of_eight_characters_are_keys_and_of_seven_are_words(self):
        kept = Secret("zq8x7w6"), Secret("mn5b4v3c")
        assert clean("zq8x7w6 mn5b4v3c") == "zq8x7w6 [hidden]"
        assert holds_key("mn5b4v3c")
        assert not holds_key("zq8x7w6")
        assert kept

    def test_of_twenty_characters_are_hidden_in_parts_of_eight(self):
        nineteen, twenty = "a1b2c3d4e5f6g7h8i9j", "z9y8x7w6v5u4t3s2r1q0"
        kept = Secret(nineteen), Secret(twenty)
        assert clean(nineteen[:-1]) == nineteen[:-1]
        assert clean(f"({twenty[5:13]})") == "([hidden])"
        assert clean(f"({twenty[5:12]})") == f"({twenty[5:12]})"
        assert kept

    @pytest.mark.parametrize("around", ["{}", "({})", "a " * 600 + "{}"], ids=["alone", "short", "long"])
    def test_are_hidden_by_each_of_their_parts(self, around):
        key = "z9y8x7w6v5u4t3s2r1q0"
        kept = Secret(key)
        for part in (
            *(key[at : at + 8] for at in range(13)),
            base64.b64encode(key.encode()).decode()[-12:-4],
        ):
            assert clean(around.format(part), limit=5000) == around.format("[hidden]")
        assert kept

    @pytest.mark.parametrize("length", range(8, 20))
    def test_that_are_short_are_hidden_inside_any_base64(self, length):
        key = "z9Y8x7W6v5U4t3S2r1Q"[:length]
        kept = Secret(key)
        for before in (b"", b"x", b"xy", b"\xff", b"\xff\xff", b"\0\0\0\0"):
            for after in (b"", b"\0", b"\xff", b"\0\xff", b"xyz"):
                cleaned = clean(base64.b64encode(before + key.encode() + after).decode())
                assert "[hidden]" in cleaned
                assert len(cleaned.replace("[hidden]", "")) <= 8
        assert kept

    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("abcdef{}ghijkl", "ab[hidden]kl"),
            ("abcd{}efgh", "[hidden]"),
            ("a{}", "[hidden]"),
            ("a={}==", "a=[hidden]"),
            ("={}=b.c", "=[hidden].c"),
            (".{}.", ".[hidden]."),
            ("{}ab.c {}", "[hidden].c [hidden]"),
            ("{}abcdefgh{}", "[hidden]"),
            ("{}abcdefghi{}", "[hidden]e[hidden]"),
        ],
    )
    def test_take_four_neighbours_with_them_that_base64_would_betray(self, secret, text, left):
        assert clean(text.format(KEY, KEY)) == left

    @pytest.mark.parametrize("noise", ["%20", "%7F", "%7f", "&#32;", "&#127;", "&#x7f;", "\\x20", "\\u0020"])
    def test_are_hidden_where_escapes_of_nothing_stand_between_their_signs(self, secret, noise):
        assert clean(noise.join(KEY)) == "[hidden]"

    def test_of_the_first_and_the_last_printable_sign_are_hidden_in_escapes(self):
        key = "!~0a!~1b!~2c!~3d!~4e!~"
        kept = Secret(key)
        for form in ("%{:02x}", "&#{};", "\\x{:02X}"):
            assert clean("".join(form.format(ord(sign)) for sign in key)) == "[hidden]"
        assert kept

    def test_are_taken_out_of_raw_bytes_and_nothing_else_is(self, secret):
        rest = bytes(range(0x3A, 0x100)) + bytes(range(0x30))
        assert without_keys(rest + KEY.encode() + b"." + rest) == rest + b"[hidden]." + rest
        assert without_keys(rest * 9) == rest * 9

    def test_are_recognised_for_a_refusal(self, secret):
        for text in (FORMS["exact"], FORMS["split by zero-width characters"], FORMS["URL-encoded"]):
            assert holds_key(f"a boat {text}")
        assert holds_key("sk-proj-abcdEFGH1234_5678")
        assert not holds_key(f"a boat {KEY[:12]}")
        assert not holds_key("a paper boat on a desk-organizer-with-drawers")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        "beside", ["a boat", "50 % of a boat", "\u4e00", "a\x1b]8;;", "line\nbreak", "-"]
    )
    def test_are_recognised_in_whatever_holds_them_and_beside_whatever(self, secret, form, beside):
        inside = [{"a": beside, "b": [beside, 1, {"c": FORMS[form]}]}, beside]
        assert holds_key(inside) == holds_key(FORMS[form])
        assert holds_key({f"{FORMS[form]}": beside}) == holds_key(FORMS[form])
        assert not holds_key(
            [{"a": beside, "b": KEY[:12]}, {"a": KEY[12:], "b": "desk-organizer-with-drawers"}]
        )

    def test_too_short_to_be_one_are_not_recognised(self):
        kept = Secret("sandbox")
        assert not holds_key("a sandbox")
        assert kept


class TestWhatIsPrinted:
    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("\x1b[31mred\x1b[0m and \x1b[38;5;200mpink\x1b[m", "red and pink"),
            ("\x1b]0;owned\x07title", "title"),
            ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bPq#0;2;0;0;0\x1b\\sixel", "sixel"),
            ("\x1b_Gf=100;AAAA\x1b\\kitty", "kitty"),
            ("\x9b31mred \x9d0;t\x9cend", "red end"),
            ("\x1bc\x1b(Breset", "reset"),
            ("\x1b[31", ""),
            ("\x1b", ""),
            ("\x1b]52;c;unfinished\nnext line", "next line"),
            ("a\x00b\x07c\x08d\x7fe\x85f\x8fg", "abcdefg"),
            ("evil\u202egnp.exe\u2066x\u2069", "evilgnp.exex"),
            ("zero\u200bwidth\u2060join\ufeffer\u00ad", "zerowidthjoiner"),
            ("tag\U000e0041\U000e0042s \U000e0100", "tags"),
            ("\ud83d alone \udc00", "\ufffd alone \ufffd"),
            ("one\r\ntwo\rthree\u2028four\tfive", "one\ntwo\nthree\nfour\tfive"),
            ("  around \n", "around"),
            ("👨\u200d👩\u200d👧 ❤\ufe0f", "👨👩👧 ❤\ufe0f"),
        ],
    )
    def test_has_nothing_that_moves_colours_hides_or_turns(self, text, cleaned):
        assert clean(text) == cleaned

    def test_is_short(self):
        assert clean("abcdef", limit=6) == "abcdef"
        assert clean("abcdefg", limit=6) == "abcde…"
        assert clean("abc", limit=1) == clean("abc", limit=0) == "…"
        assert clean("abc  defg", limit=6) == "abc…"
        assert clean("x" * 5 * 2**20) == "x" * 499 + "…"

    def test_loses_the_end_of_what_was_looked_at_only_where_more_was_left(self):
        looked_at = 4 * 10 + 4096
        padding = "\x00" * (looked_at - 5)
        assert clean(f"{padding}abcde", limit=10) == "abcde"
        assert clean(f"{padding}abcdef", limit=10) == "…"
        assert clean("\x00" * (looked_at - 325) + "abcde" + "x" * 321, limit=10) == "abcde…"

    def test_is_marked_as_cut_also_where_nothing_of_it_is_left(self):
        assert clean("\x1b[31m" * 2**20) == "…"

    @pytest.mark.parametrize(
        ("value", "cleaned"),
        [(None, ""), (7, "7"), (b"a\xff\x1b[1mb", "a\ufffdb"), ({"a": [1]}, "{'a': [1]}"), (True, "True")],
    )
    def test_can_be_any_value(self, value, cleaned):
        assert clean(value) == cleaned

    @pytest.mark.parametrize(
        "fault", [ValueError, TypeError, RecursionError, ZeroDivisionError, KeyError, AttributeError, OSError]
    )
    def test_can_be_a_value_that_cannot_be_printed(self, fault):
        class Odd:
            def __str__(self):
                raise fault

        assert clean(Odd()) == "<Odd>"

    def test_is_the_same_when_cleaned_twice(self, secret):
        for form in FORMS.values():
            assert clean(clean(form)) == clean(form)


class TestAddressesInTexts:
    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("see https://a.example/p.png?X-Sig=abc&e=1 now", "see https://a.example/p.png?… now"),
            ("http://user:pw@a.example/p", "http://a.example/p"),
            ("HTTPS://U:P@H.EXAMPLE?q", "HTTPS://H.EXAMPLE?…"),
            ('{"url":"https:\\/\\/a.example\\/p?sig=1"}', '{"url":"https:\\/\\/a.example\\/p?…"}'),
            ("https://a.example/docs#limits", "https://a.example/docs#limits"),
            ("https://a.example/cb#token=abc", "https://a.example/cb#…"),
            ("https://a.example/p#x?y", "https://a.example/p#x?…"),
            ("is it https://a.example/p? and on", "is it https://a.example/p? and on"),
            ("<https://a.example/p?x=1>", "<https://a.example/p?…>"),
            ("https://" + "u" * 300 + ":pw", "https://…"),
            ("https://" + "h" * 255, "https://" + "h" * 255),
            ("https://" + "h" * 256, "https://…"),
            ("what? no address", "what? no address"),
        ],
    )
    def test_lose_user_info_and_query(self, text, cleaned):
        assert clean(text) == cleaned

    @pytest.mark.parametrize(
        ("url", "cleaned"),
        [
            ("https://u:p@a.example/p.png?X-Sig=abc#f", "https://a.example/p.png"),
            ("https://a.example/p#f?x", "https://a.example/p"),
            ("https://a.example/\x1b[31mp\u202e", "https://a.example/p"),
            (None, ""),
        ],
    )
    def test_are_cleaned_by_themselves(self, url, cleaned):
        assert clean_url(url) == cleaned


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 pictures"), (1, "1 picture"), (2, "2 pictures"), (2000, "2,000 pictures")]
)
def test_a_noun_goes_with_its_number(count, words):
    assert counted(count, "picture") == words


def test_a_noun_may_bring_its_verb():
    assert [counted(n, "call is", "calls are") for n in (1, 2)] == ["1 call is", "2 calls are"]


class TestHTML:
    def test_has_no_markup_of_its_own(self):
        shown = html("<img src=x onerror=\"alert(1)\"> & 'q'")
        assert "<" not in shown
        assert '"' not in shown
        assert stdlib_html.unescape(shown) == "<img src=x onerror=\"alert(1)\"> & 'q'"

    def test_holds_no_formula(self):
        assert html("$x$ \\(y\\)") == ("<span>$</span>x<span>$</span> <span>\\</span>(y<span>\\</span>)")

    def test_is_as_short_as_any_text(self):
        assert len(html("x" * 501)) == len(clean("x" * 501)) == 500

    def test_is_cleaned_and_short(self):
        assert html("\x1b[1mab\u202ecd", limit=3) == "ab…"
