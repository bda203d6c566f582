"""The client against a real server, and against what is no server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import Session
from tests.e2e.daemon import free_port
from tests.neighbours.certificates import Makings, make_certificates
from tests.neighbours.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server
from tests.neighbours.silent_server import SilentServer

from framelane.config.sections.s3 import S3Config
from framelane.footage.s3 import S3Bucket
from framelane.footage.upload_errors import UploadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "2026-11-22/lobby/0190a1b2-0000-7000-8000-000000000001"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials and no proxy of whoever runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def makings(tmp_path_factory: pytest.TempPathFactory) -> Makings:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(bytes(range(256)) * 1000)
    return path


def bucket(settings: dict[str, Any], **more: Any) -> S3Bucket:
    return S3Bucket(
        S3Config.model_validate({"connect_timeout_s": 2, "read_timeout_s": 2, **settings, **more})
    )


def failure(settings: dict[str, Any], file: Path, key: str = f"{NAME}.jpg", **more: Any) -> UploadError:
    with pytest.raises(UploadError) as caught:
        bucket(settings, **more).put(key, file)
    assert SECRET_KEY not in str(caught.value)
    return caught.value


def test_object_has_the_name_the_content_and_the_type_of_its_file(server: S3Server, file: Path) -> None:
    movie = file.with_name("movie.mp4")
    movie.write_bytes(b"moov" * 500_000)
    target = bucket(server.settings(prefix="site/a"))
    target.put(f"{NAME}.jpg", file)
    target.put(f"{NAME}.mp4", movie)
    target.close()
    target.close()
    client: Any = Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    for path, suffix, kind in ((file, "jpg", "image/jpeg"), (movie, "mp4", "video/mp4")):
        found = client.get_object(Bucket=BUCKET, Key=f"site/a/{NAME}.{suffix}")
        assert (found["ContentType"], found["Body"].read()) == (kind, path.read_bytes())
    client.close()


def test_name_without_a_prefix_is_the_path_within_the_folder(server: S3Server, file: Path) -> None:
    bucket(server.settings()).put(f"{NAME}.whole.jpg", file)
    assert server.objects()[f"{NAME}.whole.jpg"] == file.read_bytes()


@pytest.mark.parametrize(
    ("changes", "reason", "retry", "text"),
    [
        (
            {"secret_key": "wrong-4711-0815"},
            "credentials",
            "late",
            (
                "{url}, bucket cams: the server refuses uploads (SignatureDoesNotMatch, status 403); "
                "check `media.s3.access_key` and its secret"
            ),
        ),
        (
            {"access_key": "nobody"},
            "credentials",
            "late",
            (
                "{url}, bucket cams: the server refuses uploads (XAdminUserNotFound, status 404); "
                "check `media.s3.access_key` and its secret"
            ),
        ),
        (
            {"bucket": "missing"},
            "bucket",
            "late",
            (
                "{url}, bucket missing: the server refuses uploads (NoSuchBucket, status 404); "
                "create the bucket, or correct `media.s3.bucket`"
            ),
        ),
        (
            {"access_key": None, "secret_key": None},
            "credentials",
            "late",
            (
                "{url}, bucket cams: there is no access key, neither here nor in the environment; "
                "set `media.s3.access_key` and its secret"
            ),
        ),
    ],
)
def test_refusal_says_what_where_and_the_remedy(
    server: S3Server, file: Path, changes: dict[str, Any], reason: str, retry: str, text: str
) -> None:
    error = failure(server.settings(), file, **changes)
    assert (error.reason, error.retry, str(error)) == (reason, retry, text.format(url=server.url))


def test_name_that_the_server_can_not_take_is_refused_for_good(server: S3Server, file: Path) -> None:
    key = f"2026-11-22/{'a' * 1100}/x.jpg"
    error = failure(server.settings(), file, key)
    assert (error.reason, error.retry) == ("refused", "never")
    assert str(error).endswith("(KeyTooLongError, status 400); shorten `media.s3.prefix`")
    assert key in str(error)


def test_server_that_is_away_is_tried_again_soon(file: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    error = failure({"endpoint": endpoint, "bucket": BUCKET, "access_key": "a", "secret_key": "b"}, file)
    assert (error.reason, error.retry, str(error)) == (
        "unreachable",
        "soon",
        (
            f"{endpoint}, bucket cams: can't connect: Connection refused; "
            "check the server and `media.s3.endpoint`"
        ),
    )


def test_server_that_never_answers_is_given_up_in_time(file: Path) -> None:
    with SilentServer() as silent:
        endpoint = silent.url.replace("rtsp", "http").removesuffix("/1")
        settings = {"endpoint": endpoint, "bucket": BUCKET, "access_key": "a", "secret_key": "b"}
        error = failure(settings, file, read_timeout_s=0.5)
    assert (error.reason, error.retry) == ("timeout", "soon")
    assert str(error) == f"{endpoint}, bucket cams: no answer within 0.5 s; see the server's load"


def test_certificate_of_an_own_authority_is_trusted_if_it_is_named(
    makings: Makings, tmp_path: Path, file: Path
) -> None:
    with S3Server(tmp_path / "s3", makings) as server:
        bucket(server.settings(tls={"ca_file": makings.file("ca.crt")})).put(f"{NAME}.jpg", file)
        bucket(server.settings(tls={"verify": False})).put(f"{NAME}.whole.jpg", file)
        assert sorted(server.objects()) == [f"{NAME}.jpg", f"{NAME}.whole.jpg"]
        error = failure(server.settings(), file)
    assert (error.reason, error.retry) == ("certificate", "late")
    assert "the TLS connection fails: " in str(error)
    assert "unable to get local issuer certificate" in str(error)
    assert str(error).endswith("; check `media.s3.tls.ca_file` and the host name")


@pytest.mark.parametrize(
    ("certificate", "text"),
    [("name", "hostname '127.0.0.1' doesn't match 'other.example'"), ("expired", "certificate has expired")],
)
def test_wrong_certificate_is_refused(
    makings: Makings, tmp_path: Path, file: Path, certificate: str, text: str
) -> None:
    with S3Server(tmp_path / "s3", makings, certificate) as server:
        error = failure(server.settings(tls={"ca_file": makings.file("ca.crt")}), file)
        assert server.objects() == {}
    assert error.reason == "certificate"
    assert text in str(error)


def test_authority_that_is_no_certificate_fails_with_its_file(tmp_path: Path, file: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("no certificate")
    settings = {"endpoint": "https://127.0.0.1:1", "bucket": BUCKET, "access_key": "a", "secret_key": "b"}
    error = failure(settings, file, tls={"ca_file": str(ca_file)})
    assert (error.reason, error.retry) == ("certificate", "late")
    start = f"https://127.0.0.1:1, bucket cams: can't read the authorities in {ca_file}: "
    assert str(error).startswith(start)
    assert str(error).endswith("; it must be a PEM file")
