import ipaddress

import pytest

from comet_magic.addresses import (
    absolute_url,
    check_ip,
    is_loopback_url,
    is_public,
    is_this_machine,
    origins_of,
    parse_picture_url,
)
from comet_magic.errors import ConfigurationError, UnsafeURLError

PUBLIC = "https://api.cometapi.com/v1"
SANDBOX = "http://127.0.0.1:8000/v1"

HOSTS_INSIDE = [
    host
    for line in (
        "127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7f.1 0x7f.0.0.1 0177.0.0.1 017700000001",
        "127.0.0.1. 0 0.0.0.0 0.0 00000000 10.0.0.1 10.255.255.255 012.0.0.1 100.64.0.1 100.100.100.200",
        "100.127.255.255 168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 2852039166 0xa9fea9fe",
        "172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255",
        "198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 256.1.1.1",
        "1.2.3 1.2.3.4.5 1.2.3.0x4 08.8.8.8",
        "[::] [::1] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:8.8.8.8] [::127.0.0.1]",
        "[64:ff9b::7f00:1] [64:ff9b::8.8.8.8] [64:ff9b:1::1] [100::1] [2001::1] [2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        "[2001:10::1] [2001:20::1] [2001:db8::1] [2002:7f00:1::] [2002:808:808::1] [3fff::1] [5f00::1]",
        "192.31.196.1 192.52.193.1 192.175.48.1 [2620:4f:8000::1]",
        "[fc00::1] [fd00:ec2::254] [fe80::1] [fe80::1%25eth0] [fe80::1%eth0] [fec0::1] [ff02::1] [ff0e::1]",
        "[::1%1] [1::2::3] [127.0.0.1] [] [::1 ::1 [::1",
        "localhost LOCALHOST localhost. localhost.localdomain ip6-localhost foo.localhost metadata",
        "metadata.google.internal METADATA.GOOGLE.INTERNAL. instance-data.ec2.internal metadata.azure.com",
        "metadata.azure.internal metadata.packet.net metadata.tencentyun.com printer.local nas.lan host.home.arpa",
        "wiki.corp kubernetes.default.svc.cluster.local router intranet x.intranet x.private",
        "①②⑦.⓪.⓪.① １２７.0.0.1 127。0。0。1 ⓛocalhost localhost。 ℡.example 127．0．0．1 example。com",
        ".example.com example..com ä..com ä..example.com -example.com example-.com exa_mple-.com a..",
        "example.com.. %6cocalhost 127.0.0.1%00.example.com example.com%2f@127.0.0.1",
    )
    for host in line.split()
]


class TestHostsInsideANetwork:
    @pytest.mark.parametrize("host", HOSTS_INSIDE)
    def test_are_refused(self, host):
        with pytest.raises(UnsafeURLError):
            parse_picture_url(f"https://{host}/a.png", base_url=PUBLIC)

    @pytest.mark.parametrize("host", HOSTS_INSIDE)
    def test_are_refused_with_a_port_too(self, host):
        with pytest.raises(UnsafeURLError):
            parse_picture_url(f"https://{host}:443/a.png", base_url=PUBLIC)

    def test_are_refused_beside_a_sandbox_as_well(self):
        allowed = []
        for host in HOSTS_INSIDE:
            try:
                parse_picture_url(f"http://{host}/a.png", base_url=SANDBOX)
            except UnsafeURLError:
                continue
            allowed.append(host)
        assert allowed == []

    def test_with_long_names_are_refused(self):
        for host in ("a" * 64 + ".com", ".".join(["abcdefgh"] * 30) + ".com", "ä" * 5000 + ".com"):
            with pytest.raises(UnsafeURLError):
                parse_picture_url(f"https://{host}/", base_url=PUBLIC)


class TestOtherAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            " ",
            "a.png",
            "/a.png",
            "//cdn.example.com/a.png",
            "https:/cdn.example.com/a.png",
            "https:cdn.example.com",
            "https://",
            "https:///a.png",
            "https://?a",
            "https://#a",
            "https://:443/a",
            "://cdn.example.com",
            "file:///etc/passwd",
            "ftp://cdn.example.com/a.png",
            "gopher://cdn.example.com/_x",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "ws://cdn.example.com/",
            "httpss://cdn.example.com/",
            "h" * 8000 + "://cdn.example.com/",
            "http://cdn.example.com/a.png",
            "HTTP://cdn.example.com/a.png",
            "https://user:pw@cdn.example.com/a.png",
            "https://user@cdn.example.com/a.png",
            "https://@cdn.example.com/a.png",
            "https://cdn.example.com@127.0.0.1/a.png",
            "https://cdn.example.com:443@127.0.0.1/a.png",
            "https://127.0.0.1#@cdn.example.com/",
            "https://127.0.0.1?@cdn.example.com/",
            "https:\\\\cdn.example.com\\a.png",
            "https://127.0.0.1\\@cdn.example.com/",
            "https://cdn.example.com\\.evil.example/",
            "https://cdn.example.com/a\\b",
            "https://cdn.example.com/\r\nX-Injected: 1",
            "https://cdn.example.com/%0a\n",
            "\nhttps://cdn.example.com/",
            "https://cdn example.com/",
            "https://cdn.example.com :443/",
            "https://cdn.example.com/\x00",
            "https://cdn.example.com/\x7f",
            "https://cdn.example.com/\x85",
            "https://cdn.exa\tmple.com/",
            "https://cdn.example.com:0/",
            "https://cdn.example.com:65536/",
            "https://cdn.example.com:99999999999/",
            "https://cdn.example.com:-1/",
            "https://cdn.example.com:+443/",
            "https://cdn.example.com:4_4/",
            "https://cdn.example.com:４４３/",
            "https://cdn.example.com:/",
            "https://cdn.example.com:443:443/",
            "https://cdn.example.com:abc/",
            "https://[2606:4700::1111",
            "https://2606:4700::1111/",
            "https://[2606:4700::1111]x/",
            "https://[2606:4700::1111]:443:1/",
            "https://x[2606:4700::1111]/",
            "https://cdn.example.com/\ud800",
            "https://cdn!.example.com/",
            "https://cdn,example.com/",
            "https://cdn.example.com;127.0.0.1/",
            "https://*.example.com/",
            "https://cdn.example.com/" + "a" * 65_536,
        ],
    )
    def test_that_are_not_plain_https_addresses_are_refused(self, url):
        with pytest.raises(UnsafeURLError) as caught:
            parse_picture_url(url, base_url=PUBLIC)
        assert caught.value.outcome == "billed"
        assert len(str(caught.value)) < 250

    @pytest.mark.parametrize(
        ("sign", "kept"),
        [("!", "!"), ("~", "~"), (" ", "%20"), ("\x7f", "%7F"), ("\x00", "%00"), ("é", "%C3%A9")],
    )
    def test_are_kept_in_signs_that_can_be_printed(self, sign, kept):
        with pytest.raises(UnsafeURLError) as caught:
            parse_picture_url(f"https://user@a.example.com/{sign}", base_url=PUBLIC)
        assert caught.value.urls == (f"https://user@a.example.com/{kept}",)

    def test_tell_the_beginning_of_a_scheme_that_is_not_fetched(self):
        with pytest.raises(UnsafeURLError, match=f"the scheme is {'h' * 20}; it must be https"):
            parse_picture_url("h" * 21 + "://cdn.example.com/", base_url=PUBLIC)

    def test_are_kept_printable_in_the_error(self):
        with pytest.raises(UnsafeURLError) as caught:
            parse_picture_url("https://a.example.com/\x1b[31m\u202e\ud800?sig=1", base_url=PUBLIC)
        assert caught.value.urls == ("https://a.example.com/%1B[31m%E2%80%AE??sig=1",)
        assert "sig" not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "scheme", "host", "port", "target"),
        [
            ("https://cdn.example.com/a.png", "https", "cdn.example.com", 443, "/a.png"),
            ("HTTPS://CDN.Example.COM", "https", "cdn.example.com", 443, "/"),
            ("https://cdn.example.com.:8443/a#f", "https", "cdn.example.com", 8443, "/a"),
            ("https://cdn.example.com:443?a=%2F&b=c+d#f?g", "https", "cdn.example.com", 443, "/?a=%2F&b=c+d"),
            (
                "https://cdn.example.com/a;b=1/'x'|{y}\"!~",
                "https",
                "cdn.example.com",
                443,
                "/a;b=1/'x'|{y}\"!~",
            ),
            ("https://a_b.s3.example.com/a@b:c", "https", "a_b.s3.example.com", 443, "/a@b:c"),
            (
                "https://cdn.example.com/图.png?q=é",
                "https",
                "cdn.example.com",
                443,
                "/%E5%9B%BE.png?q=%C3%A9",
            ),
            ("https://bücher.example/a", "https", "xn--bcher-kva.example", 443, "/a"),
            ("https://xn--bcher-kva.example/a", "https", "xn--bcher-kva.example", 443, "/a"),
            ("https://8.8.8.8:1/a", "https", "8.8.8.8", 1, "/a"),
            ("https://localhost.example.com:65535/a", "https", "localhost.example.com", 65535, "/a"),
            ("https://10.example.com/", "https", "10.example.com", 443, "/"),
            ("https://[2606:4700:0:0::1111]/a", "https", "2606:4700::1111", 443, "/a"),
        ],
    )
    def test_come_in_the_parts_a_connection_needs(self, url, scheme, host, port, target):
        parsed = parse_picture_url(url, base_url=PUBLIC)
        assert (parsed.scheme, parsed.host, parsed.port, parsed.target) == (scheme, host, port, target)

    def test_may_be_as_long_as_this_and_no_longer(self):
        longest = "https://cdn.example.com/" + "a" * (65_536 - 24)
        assert parse_picture_url(longest, base_url=PUBLIC).url == longest
        with pytest.raises(UnsafeURLError, match="65537 characters"):
            parse_picture_url(longest + "a", base_url=PUBLIC)
        name = ".".join(["a" * 49] * 4 + ["b" * 49, "cde"])
        assert parse_picture_url(f"https://{name}/", base_url=PUBLIC).host == name
        with pytest.raises(UnsafeURLError):
            parse_picture_url(f"https://{name}f/", base_url=PUBLIC)

    def test_may_have_blanks_in_names_and_around(self):
        parsed = parse_picture_url(" https://cdn.example.com/my boat.png?n=a b ", base_url=PUBLIC)
        assert parsed.target == "/my%20boat.png?n=a%20b"

    def test_are_spelled_in_one_way(self):
        def again(url):
            return parse_picture_url(url, base_url=PUBLIC).url

        assert again("HTTPS://CDN.example.com.:443?a#b") == "https://cdn.example.com/?a"
        assert again("https://[2606:4700:0::1111]:8443/") == "https://[2606:4700::1111]:8443/"
        assert again(again("https://bücher.example:444/ü")) == "https://xn--bcher-kva.example:444/%C3%BC"

    def test_tell_the_ip_address_where_the_host_is_one(self):
        def ip(host):
            return parse_picture_url(f"https://{host}/", base_url=PUBLIC).ip

        assert ip("8.8.8.8") == ipaddress.ip_address("8.8.8.8")
        assert ip("[2606:4700::1111]") == ipaddress.ip_address("2606:4700::1111")
        assert ip("dns.example.com") is None


class TestTheUsersOwnOrigin:
    @pytest.mark.parametrize(
        ("base", "url"),
        [
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/p.png?e=1"),
            ("http://127.0.0.1:8000/v1", "HTTP://LOCALHOST.:8000/p.png"),
            ("http://127.0.0.1:8000/v1", "http://[::1]:8000/p.png"),
            ("http://localhost:8000", "http://127.0.0.1:8000/p.png"),
            ("http://[::1]:8000/v1", "http://localhost:8000/p.png"),
            ("http://127.0.0.2:8000/v1", "http://127.0.0.2:8000/p.png"),
            ("http://localhost/v1", "http://127.0.0.1:80/p.png"),
            ("https://gw.corp/v1", "https://gw.corp:443/files/1.png"),
            ("https://LLM.intranet:8443/v1", "https://llm.intranet:8443/1.png"),
            ("https://10.1.2.3/v1", "https://10.1.2.3/1.png"),
            ("https://[fd00::7]/v1", "https://[fd00:0::7]/1.png"),
            ("https://bücher.example/v1", "https://xn--bcher-kva.example/1.png"),
        ],
    )
    def test_is_trusted_and_connected_to_as_the_user_named_it(self, base, url):
        parsed = parse_picture_url(url, base_url=base)
        assert parsed.trusted == parse_picture_url(base, base_url=base).host
        assert parse_picture_url(url, base_url=PUBLIC, origins=[base]).trusted == parsed.trusted

    @pytest.mark.parametrize(
        ("base", "url"),
        [
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8001/p.png"),
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1/p.png"),
            ("http://127.0.0.1:8000/v1", "https://127.0.0.1:8000/p.png"),
            ("http://127.0.0.1:8000/v1", "http://127.0.0.2:8000/p.png"),
            ("http://127.0.0.2:8000/v1", "http://localhost:8000/p.png"),
            ("http://localhost:8000/v1", "http://localhost:9000/p.png"),
            ("http://localhost:8000/v1", "http://a.localhost:8000/p.png"),
            ("http://127.0.0.1:8000/v1", "http://0.0.0.0:8000/p.png"),
            ("https://127.0.0.1:8000/v1", "http://127.0.0.1:8000/p.png"),
            ("https://gw.corp/v1", "https://other.gw.corp/1.png"),
            ("https://gw.corp/v1", "https://gw.corp:8443/1.png"),
            ("https://gw.corp/v1", "http://gw.corp:443/1.png"),
            ("https://10.1.2.3/v1", "https://10.1.2.4/1.png"),
            ("nonsense", "https://nonsense/1.png"),
        ],
    )
    def test_is_that_scheme_host_and_port_and_nothing_beside(self, base, url):
        with pytest.raises(UnsafeURLError):
            parse_picture_url(url, base_url=base)

    def test_is_connected_to_at_any_address_that_its_name_has(self):
        url = parse_picture_url("https://gw.corp/1.png", base_url="https://gw.corp/v1")
        check_ip("10.0.0.7", url)
        with pytest.raises(UnsafeURLError):
            check_ip("not an address", url)

    def test_as_localhost_is_at_a_loopback_address(self):
        url = parse_picture_url("http://localhost:8000/p", base_url="http://localhost:8000/v1")
        check_ip("127.0.0.1", url)
        check_ip("::1", url)
        with pytest.raises(UnsafeURLError):
            check_ip("127.0.0.2", url)

    def test_is_not_named_by_the_redirect_of_another_host(self):
        for url, base in (
            ("http://127.0.0.1:8000/p", SANDBOX),
            ("https://gw.corp/1.png", "https://gw.corp/v1"),
        ):
            with pytest.raises(UnsafeURLError):
                parse_picture_url(url, base_url=base, named_by_base=False)
            assert parse_picture_url(url, base_url=PUBLIC, origins=[base], named_by_base=False).trusted
        assert parse_picture_url("https://cdn.example.com/p", base_url=SANDBOX, named_by_base=False)

    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("http://127.0.0.1:9000/bucket/p.png?sig=1", "http://127.0.0.1:9000"),
            ("http://[::1]:9000/p.png", "http://[::1]:9000"),
            ("http://localhost:9000/p.png", "http://localhost:9000"),
            ("https://192.168.1.9/p.png", "https://192.168.1.9"),
            ("http://minio:9000/p.png", "http://minio:9000"),
            ("http://minio.example.com:9000/p.png", "http://minio.example.com:9000"),
            ("http://0.0.0.0:8080/p.png", "http://0.0.0.0:8080"),
        ],
    )
    @pytest.mark.parametrize("base", [PUBLIC, SANDBOX])
    def test_can_be_added_to_as_the_error_says(self, base, url, origin):
        if base == PUBLIC or "example" not in url:  # beside plain http, a public picture needs no https
            with pytest.raises(UnsafeURLError) as caught:
                parse_picture_url(url, base_url=base)
            assert f'picture_origins=["{origin}"]' in caught.value.hint
        assert parse_picture_url(url, base_url=base, origins=[origin]).trusted

    @pytest.mark.parametrize(
        "url",
        [
            "https://169.254.169.254/latest",
            "https://metadata.google.internal/",
            "https://metadata.azure.com/",
            "https://[fd00:ec2::254]/",
            "https://100.100.100.200/",
            "https://224.0.0.1/",
        ],
    )
    def test_is_not_offered_where_credentials_are_handed_out(self, url):
        with pytest.raises(UnsafeURLError) as caught:
            parse_picture_url(url, base_url=PUBLIC)
        assert caught.value.hint == ""

    def test_is_offered_where_a_public_name_leads_inside(self):
        url = parse_picture_url("https://minio.example.com/p.png", base_url=PUBLIC)
        with pytest.raises(UnsafeURLError) as caught:
            check_ip("10.0.0.9", url)
        assert 'picture_origins=["https://minio.example.com"]' in caught.value.hint

    @pytest.mark.parametrize("ip", ["198.18.0.1", "198.19.255.254"])
    def test_is_not_what_a_resolver_that_invents_addresses_needs(self, ip):
        url = parse_picture_url("https://cdn.example.com/p.png", base_url=PUBLIC)
        with pytest.raises(UnsafeURLError) as caught:
            check_ip(ip, url)
        assert "fake-ip" in caught.value.hint
        assert "download_proxy" in caught.value.hint

    def test_is_an_address_without_a_path(self):
        given = [
            "http://127.0.0.1:9000",
            " HTTP://LocalHost:80/ ",
            "https://minio:9000/",
            "http://[0::1]:9000",
        ]
        origins = ("http://127.0.0.1:9000", "http://localhost", "https://minio:9000", "http://[::1]:9000")
        assert origins_of(given) == origins_of(", ".join(given) + ",") == origins
        assert origins_of([]) == origins_of(" , ") == ()

    @pytest.mark.parametrize(
        "text",
        [
            *("*", "127.0.0.1:9000", "http://", "ftp://a.example", "http://a/b", "http://a/?", "http://a/#"),
            *("http://u:p@a", "http://a:0", "http://*.a", [""], [None], 7, {"http://a": 1}, b"http://a"),
        ],
    )
    def test_is_nothing_else(self, text):
        with pytest.raises(ConfigurationError, match=r"picture_origins is .*; it must be a list of origins"):
            origins_of(text)


class TestAnAddressWithoutAScheme:
    ASKED = "http://127.0.0.1:8000/v1/images/generations"

    @pytest.mark.parametrize(
        ("url", "whole"),
        [
            ("/files/1.png?e=1", "http://127.0.0.1:8000/files/1.png?e=1"),
            ("1.png", "http://127.0.0.1:8000/v1/images/1.png"),
            (" ../files/a b.png ", "http://127.0.0.1:8000/v1/files/a b.png"),
            ("//cdn.example.com/1.png", "http://cdn.example.com/1.png"),
            ("?id=1", "http://127.0.0.1:8000/v1/images/generations?id=1"),
            ("files/a:b.png", "http://127.0.0.1:8000/v1/images/files/a:b.png"),
        ],
    )
    def test_is_meant_beside_the_request_that_named_it(self, url, whole):
        assert absolute_url(url, self.ASKED) == whole

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "",
                "  ",
                "https://cdn.example.com/1.png",
                "data:,a",
                "javascript:alert(1)",
                "https:/a",
                "HTTPS:a",
            ),
            *("file:///etc/passwd", "://a.example", "//[::1", "/a\\b", "/a\nb", "a.example:80/1.png", "::1"),
        ],
    )
    def test_is_no_other_one(self, url):
        assert absolute_url(url, self.ASKED) == url


class TestBesideASandbox:
    def test_http_is_fetched_only_beside_plain_http(self):
        assert parse_picture_url("http://cdn.example.com/p", base_url=SANDBOX).port == 80
        assert parse_picture_url("https://cdn.example.com/p", base_url=SANDBOX).port == 443
        for base in (PUBLIC, "https://127.0.0.1:8000/v1", "http://10.0.0.1/v1", "nonsense"):
            with pytest.raises(UnsafeURLError, match="scheme is http"):
                parse_picture_url("http://cdn.example.com/p", base_url=base)


class TestAResolvedName:
    URL = parse_picture_url("https://cdn.example.com/a.png", base_url=PUBLIC)

    @pytest.mark.parametrize(
        "ip", ["8.8.8.8", "1.1.1.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"]
    )
    def test_at_a_public_address_is_fetched(self, ip):
        check_ip(ip, self.URL)

    @pytest.mark.parametrize(
        "ip",
        [
            *(host.strip("[]") for host in HOSTS_INSIDE if host[:1] in "[0123456789"),
            "fe80::1%eth0",
            "2606:4700::1111%eth0",
            "not an address",
            "8.8.8.8 ",
            "8.8.8.8/32",
            "",
        ],
    )
    def test_anywhere_else_is_refused(self, ip):
        with pytest.raises(UnsafeURLError) as caught:
            check_ip(ip, self.URL)
        assert caught.value.urls == ("https://cdn.example.com/a.png",)

    @pytest.mark.parametrize("ip", ["127.0.0.1", "127.0.0.2"])
    def test_at_loopback_is_refused_also_beside_a_sandbox(self, ip):
        url = parse_picture_url("https://cdn.example.com/a.png", base_url="http://127.0.0.2:8000")
        with pytest.raises(UnsafeURLError):
            check_ip(ip, url)

    def test_is_judged_by_the_registries_and_not_by_the_standard_library(self):
        for ip in ("224.0.0.1", "64:ff9b::808:808", "2002:808:808::1", "100.64.0.1"):
            assert not is_public(ipaddress.ip_address(ip))
        assert is_public(ipaddress.ip_address("2606:4700::1111%eth0")) is False
        first_and_last = "9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0"
        assert all(is_public(ipaddress.ip_address(ip)) for ip in first_and_last.split())


class TestLoopback:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1",
            "http://127.0.0.1:8000/v1",
            "https://127.9.9.9/",
            "http://localhost:1/v1",
            "http://LOCALHOST",
            "http://[::1]:8000/v1",
        ],
    )
    def test_is_this_machine(self, url):
        assert is_loopback_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            PUBLIC,
            "",
            "127.0.0.1:8000",
            "ftp://127.0.0.1",
            "http://127.1",
            "http://0.0.0.0:8000",
            "http://10.0.0.1",
            "http://[::ffff:127.0.0.1]",
            "http://localhost.example.com",
            "http://localhost@example.com",
            "http://example.com#@localhost",
            "http://127.0.0.1\\@example.com",
            "http://127.0.0.1:99999",
        ],
    )
    def test_is_nothing_else(self, url):
        assert is_loopback_url(url) is False

    @pytest.mark.parametrize(
        "host",
        [
            *(
                "localhost",
                "LocalHost.",
                "api.localhost",
                "127.0.0.1",
                "127.255.0.9",
                "::1",
                "[::1]",
                "::1%lo",
            ),
            *("0.0.0.0", "::", "::ffff:127.0.0.1", "::ffff:7f01:203", "::ffff:0.0.0.0"),
            *("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0"),
        ],
    )
    def test_no_proxy_may_stand_before_this_machine(self, host):
        assert is_this_machine(host)

    @pytest.mark.parametrize(
        "host",
        [
            *("", "api.cometapi.com", "localhost.example.com", "notlocalhost", "127.0.0.1.example.com"),
            *("10.0.0.1", "128.0.0.1", "::2", "fe80::1%lo", "::ffff:10.0.0.1", "bücher.example"),
        ],
    )
    def test_a_proxy_may_stand_before_any_other(self, host):
        assert is_this_machine(host) is False
