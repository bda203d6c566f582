"""Answers to challenges, against the examples of the RFCs."""

from __future__ import annotations

import hashlib
import re
import time

import pytest

from framelane.sources.rtsp.auth import Challenge, Credentials, Login, parse_challenges

URI = "rtsp://cam/stream"
_FIELD = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^,\s]+))')


def logged_in(*values: str, credentials: Credentials | None = None) -> Login:
    login = Login(credentials or Credentials("user", "secret"))
    assert login.challenge(values)
    return login


def fields(header: str) -> dict[str, str]:
    assert header.startswith("Digest ")
    return {name: quoted or bare for name, quoted, bare in _FIELD.findall(header)}


def digest(*parts: str, kind: str = "md5") -> str:
    return hashlib.new(kind, ":".join(parts).encode()).hexdigest()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(['Basic realm="x"'], [("basic", {"realm": "x"})], id="one"),
        pytest.param(["Basic"], [("basic", {})], id="without parameters"),
        pytest.param(
            ['Digest realm="a, b", nonce=n1, Basic realm="c"'],
            [("digest", {"realm": "a, b", "nonce": "n1"}), ("basic", {"realm": "c"})],
            id="two in one header",
        ),
        pytest.param(
            ["BASIC REALM=x", 'digest NONCE = "n"'],
            [("basic", {"realm": "x"}), ("digest", {"nonce": "n"})],
            id="two headers and other cases",
        ),
        pytest.param(
            [r'Digest realm="say \"hi\" \\ bye", nonce=""'],
            [("digest", {"realm": r'say "hi" \ bye', "nonce": ""})],
            id="escapes and an empty text",
        ),
        pytest.param(
            ['Digest nonce="first", nonce="second"'], [("digest", {"nonce": "first"})], id="the first counts"
        ),
        pytest.param(['realm="x"', ""], [], id="no scheme"),
    ],
)
def test_parse_challenges_returns_schemes_and_parameters(
    values: list[str], expected: list[tuple[str, dict[str, str]]]
) -> None:
    assert expected == [(found.scheme, found.values) for found in parse_challenges(values)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"nonce": "n", "algorithm": "SHA-256"}, 0),
        ({"nonce": "n", "algorithm": "sha-256-sess"}, 0),
        ({"nonce": "n"}, 1),
        ({"nonce": "n", "algorithm": "MD5-sess", "qop": "AUTH-int, Auth"}, 1),
        ({"nonce": "n", "qop": "auth-int"}, None),
        ({"nonce": "n", "algorithm": "SHA-512-256"}, None),
        ({"algorithm": "MD5"}, None),
    ],
)
def test_rank_prefers_the_stronger_digest(values: dict[str, str], expected: int | None) -> None:
    assert expected == Challenge("digest", values).rank


def test_rank_puts_basic_last_and_an_unknown_scheme_nowhere() -> None:
    assert (Challenge("basic", {}).rank, Challenge("negotiate", {"nonce": "n"}).rank) == (2, None)


@pytest.mark.parametrize(
    ("scheme", "values", "expected"),
    [
        ("basic", {}, "Basic"),
        ("digest", {}, "Digest MD5"),
        ("digest", {"algorithm": "sha-512-256-sess"}, "Digest SHA-512-256"),
        ("ntlm", {}, "NTLM"),
    ],
)
def test_kind_names_scheme_and_algorithm(scheme: str, values: dict[str, str], expected: str) -> None:
    assert expected == Challenge(scheme, values).kind


def test_header_answers_as_in_the_rfc_when_the_digest_has_no_qop() -> None:
    challenge = 'Digest realm="r", nonce="n", opaque="o"'
    response = digest(digest("user", "r", "secret"), "n", digest("DESCRIBE", URI))
    assert logged_in(challenge).header("DESCRIBE", URI) == (
        f'Digest username="user", realm="r", nonce="n", uri="{URI}", response="{response}", opaque="o"'
    )


@pytest.mark.parametrize(("algorithm", "kind"), [("MD5", "md5"), ("SHA-256", "sha256")])
@pytest.mark.parametrize("suffix", ["", "-sess"])
def test_header_counts_requests_when_the_digest_has_qop(algorithm: str, kind: str, suffix: str) -> None:
    login = logged_in(f'Digest realm="r", nonce="n", qop="auth,auth-int", algorithm={algorithm}{suffix}')
    for count, method in enumerate(("DESCRIBE", "SETUP"), 1):
        header = login.header(method, URI)
        found = fields(header)
        secret = digest("user", "r", "secret", kind=kind)
        if suffix:
            secret = digest(secret, "n", found["cnonce"], kind=kind)
        action = digest(method, URI, kind=kind)
        proof = (f"{count:08x}", found["cnonce"], "auth")
        assert digest(secret, "n", *proof, action, kind=kind) == found["response"]
        assert header.endswith(f", algorithm={algorithm}{suffix}, qop=auth, nc={count:08x}")


def test_header_tells_its_nonce_when_a_session_digest_has_no_qop() -> None:
    found = fields(logged_in('Digest realm="r", nonce="n", algorithm=MD5-sess').header("PLAY", URI))
    secret = digest(digest("user", "r", "secret"), "n", found["cnonce"])
    assert digest(secret, "n", digest("PLAY", URI)) == found["response"]
    assert not {"qop", "nc"} & found.keys()


def test_header_escapes_quotes_when_the_user_or_realm_has_them() -> None:
    login = logged_in(r'Digest realm="a\"b", nonce="n"', credentials=Credentials('us\\"er', "p"))
    assert login.header("PLAY", URI).startswith(r'Digest username="us\\\"er", realm="a\"b", nonce="n", ')


def test_challenge_chooses_the_strongest_when_there_are_several() -> None:
    login = logged_in('Basic realm="x"', 'Digest nonce="weak"', 'Digest nonce="strong", algorithm=SHA-256')
    assert fields(login.header("PLAY", URI))["nonce"] == "strong"


@pytest.mark.parametrize(
    ("accepts", "moves", "value", "expected"),
    [
        pytest.param(False, False, 'Digest nonce="1"', False, id="wrong password"),
        pytest.param(False, False, 'Digest nonce="2"', False, id="wrong password and a new nonce each time"),
        pytest.param(False, False, 'Digest nonce="2", stale=TRUE', True, id="stale"),
        pytest.param(False, False, 'Digest nonce="2", stale=false', False, id="not stale"),
        pytest.param(True, False, 'Digest nonce="2"', True, id="was accepted before"),
        pytest.param(True, False, 'Digest nonce="1"', False, id="accepted before, but the nonce is the same"),
        pytest.param(False, True, 'Digest nonce="2"', True, id="new connection"),
        pytest.param(False, True, 'Digest nonce="1"', False, id="new connection with the same nonce"),
    ],
)
def test_challenge_tells_whether_to_ask_again(
    *, accepts: bool, moves: bool, value: str, expected: bool
) -> None:
    login = logged_in('Digest nonce="1"')
    if accepts:
        login.accept()
    if moves:
        login.moved()
    assert expected is login.challenge([value])


def test_challenge_asks_again_only_once_when_a_login_was_accepted() -> None:
    login = logged_in('Digest nonce="1"')
    login.accept()
    assert login.challenge(['Digest nonce="2"'])
    assert not login.challenge(['Digest nonce="3"'])


def test_accept_means_nothing_when_no_login_was_asked_for() -> None:
    login = Login(Credentials("user", "secret"))
    login.accept()
    assert login.challenge(['Digest nonce="1"'])
    assert not login.challenge(['Digest nonce="2"'])


def test_unknown_names_each_kind_once_until_one_is_known() -> None:
    login = Login(Credentials("user", "secret"))
    assert not login.challenge(["Negotiate", "NTLM, Negotiate", 'Digest nonce="n", algorithm=SHA-512-256'])
    assert login.unknown == ("NEGOTIATE", "NTLM", "Digest SHA-512-256")
    assert login.challenge(["Negotiate", "Basic"])
    assert login.unknown == ()


def test_unknown_is_told_when_the_url_has_no_login() -> None:
    login = Login(None)
    assert not login.given
    assert not login.challenge(["Negotiate"])
    assert login.unknown == ("NEGOTIATE",)
    assert not login.header("PLAY", URI)


def test_login_sends_basic_when_nothing_stronger_is_asked() -> None:
    login = Login(Credentials("us\udcffer", "a:b"))
    assert login.header("OPTIONS", "rtsp://h/") == ""
    assert login.challenge(['Basic realm="x"'])
    assert login.header("OPTIONS", "rtsp://h/") == "Basic dXP/ZXI6YTpi"
    assert not login.challenge(['Basic realm="x"'])


def test_login_gives_up_when_it_has_none_or_knows_no_scheme() -> None:
    assert not Login(None).challenge(['Basic realm="x"'])
    login = Login(Credentials("u", "p"))
    assert not login.challenge(["Negotiate abc==", 'Digest nonce="x", algorithm=MD2', 'Digest realm="x"'])
    assert not login.challenge(['Digest realm="x", nonce="y", qop="auth-int"'])
    assert login.header("OPTIONS", "rtsp://h/") == ""


def test_credentials_show_nothing_when_they_are_printed() -> None:
    assert repr(Credentials("user", "mellon")) == "Credentials()"


def test_challenges_are_found_in_time_when_the_header_is_hostile() -> None:
    began_s = time.monotonic()
    for hostile in (
        "," * 30_000,
        'a="' * 10_000,
        "a" * 30_000,
        "a " * 15_000,
        "x" + " " * 30_000 + "y",
        '"' * 30_000,
    ):
        parse_challenges([f"Digest {hostile}"])
    assert time.monotonic() - began_s < 2.0
