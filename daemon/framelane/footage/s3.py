"""A bucket of an S3-compatible server, reached with botocore, which is imported here and nowhere else."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.config import Config as ClientConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.session import Session

from framelane import __version__
from framelane.footage.address import prefix_of
from framelane.footage.upload_errors import UploadError, answer_of

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.s3 import S3Config, S3TlsConfig
    from framelane.footage.upload_errors import Retry


class _Fault(NamedTuple):
    """What to say if no answer comes.

    Attributes:
        kinds: the exceptions of botocore.
        reason: see UploadError.
        text: what happened.
        remedy: what to do.
        retry: see UploadError.
    """

    kinds: type[BotoCoreError] | tuple[type[BotoCoreError], ...]
    reason: str
    text: str
    remedy: str
    retry: Retry


# The first that fits counts.
_FAULTS = (
    _Fault(
        SSLError,
        "certificate",
        "the TLS connection fails: {cause}",
        "check `media.s3.tls.ca_file` and the host name",
        "late",
    ),
    _Fault(
        ConnectTimeoutError,
        "unreachable",
        "no connection within {connect_s:g} s",
        "check the network and `media.s3.endpoint`",
        "soon",
    ),
    _Fault(ReadTimeoutError, "timeout", "no answer within {read_s:g} s", "see the server's load", "soon"),
    _Fault(
        (EndpointConnectionError, ProxyConnectionError),
        "unreachable",
        "can't connect: {cause}",
        "check the server and `media.s3.endpoint`",
        "soon",
    ),
    _Fault(HTTPClientError, "unreachable", "the connection broke: {cause}", "see the server's log", "soon"),
    _Fault(
        (NoCredentialsError, PartialCredentialsError),
        "credentials",
        "there is no access key, neither here nor in the environment",
        "set `media.s3.access_key` and its secret",
        "late",
    ),
    _Fault(BotoCoreError, "setup", "the client fails: {cause}", "see `media.s3`", "late"),
)
# What it warns about comes as an exception too, and would be logged with each attempt.
logging.getLogger("urllib3").setLevel(logging.ERROR)
# Even while debugging: a hundred lines per upload, with signatures and the tokens of temporary credentials.
logging.getLogger("botocore").setLevel(logging.WARNING)
_TYPES = {"jpg": "image/jpeg", "mp4": "video/mp4"}


class S3Bucket:
    """Uploads files to one bucket. One thread at a time.

    Args:
        config: the `media.s3` section.

    Raises:
        UploadError: the client can't be made of this configuration.
    """

    def __init__(self, config: S3Config) -> None:
        self._config = config
        self._client: Any = None
        self._where = f"{config.endpoint or f'Amazon S3 in {config.region}'}, bucket {config.bucket}"
        self._check_authorities()
        try:
            self._client = _client(config)
        except (BotoCoreError, ValueError, OSError) as error:
            raise UploadError("setup", f"{self._where}: the client can't be made: {error}", "late") from error

    def put(self, key: str, path: Path) -> None:
        """Upload a file under this name, behind the configured prefix.

        Raises:
            UploadError: it could not be uploaded.
            OSError: the file can't be read.
        """
        with path.open("rb") as file:
            try:
                self._client.put_object(
                    Bucket=self._config.bucket,
                    Key=prefix_of(self._config) + key,
                    Body=file,
                    ContentType=_TYPES[path.suffix.removeprefix(".")],
                )
            except ClientError as error:
                raise self._refusal(error, key) from error
            except BotoCoreError as error:
                raise self._fault(error) from error

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        if self._client is not None:
            self._client.close()

    def _check_authorities(self) -> None:
        """Raise UploadError if the authorities' file is of no use, which botocore would notice once it connects."""
        file = self._config.tls.ca_file
        if file is None:
            return
        try:
            ssl.create_default_context(cafile=file)
        except (OSError, ValueError) as error:
            text = f"{self._where}: can't read the authorities in {file}: {error}; it must be a PEM file"
            raise UploadError("certificate", text, "late") from error

    def _refusal(self, error: ClientError, key: str) -> UploadError:
        response: dict[str, Any] = error.response
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(response.get("Error", {}).get("Code", status))
        answer = answer_of(status, code)
        # The name only if this file alone is at fault: the log has one line per text.
        what = f"the server refuses {key}" if answer.retry == "never" else "the server refuses uploads"
        name = code if code == str(status) else f"{code}, status {status}"
        return UploadError(answer.reason, f"{self._where}: {what} ({name}); {answer.remedy}", answer.retry)

    def _fault(self, error: BotoCoreError) -> UploadError:
        """Return a text without the object's name: botocore's own has it, and so differs each time."""
        fault = next(fault for fault in _FAULTS if isinstance(error, fault.kinds))
        text = fault.text.format(
            cause=_cause(error),
            connect_s=self._config.connect_timeout_s,
            read_s=self._config.read_timeout_s,
        )
        return UploadError(fault.reason, f"{self._where}: {text}; {fault.remedy}", fault.retry)


def _client(config: S3Config) -> Any:  # noqa: ANN401 - botocore makes its classes at run time
    secret = None if config.secret_key is None else config.secret_key.get_secret_value()
    options = ClientConfig(
        connect_timeout=config.connect_timeout_s,
        read_timeout=config.read_timeout_s,
        # The uploader retries.
        retries={"total_max_attempts": 1},
        signature_version="s3v4",
        s3={"addressing_style": "path" if config.path_style else "virtual"},
        # Servers other than Amazon's reject the checksums that botocore adds by itself since 1.36. The signature
        # covers the content either way.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=1,
        tcp_keepalive=True,
        user_agent_extra=f"framelane/{__version__}",
    )
    return Session().create_client(
        "s3",
        region_name=config.region,
        endpoint_url=config.endpoint,
        verify=_authorities(config.tls),
        aws_access_key_id=config.access_key,
        aws_secret_access_key=secret,
        config=options,
    )


def _authorities(tls: S3TlsConfig) -> str | bool:
    """Return the file of authorities to trust; True for those that come with the client, False for no check."""
    if not tls.verify:
        return False
    # The variable SSL_CERT_FILE, or the system's file.
    return tls.ca_file or ssl.get_default_verify_paths().cafile or True


def _cause(error: BotoCoreError) -> str:
    """Return the innermost reason of a failed connection in a few words."""
    inner: BaseException = error
    while (cause := _below(inner)) is not None:
        inner = cause
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner)


def _below(error: BaseException) -> BaseException | None:
    found = getattr(error, "kwargs", {}).get("error") or getattr(error, "reason", None)
    return found if isinstance(found, BaseException) else error.__cause__
