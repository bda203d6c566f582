"""The `media.s3` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from framelane.config.sections.section import Flag, Seconds, Section, Text

_BUCKET = r"^[A-Za-z0-9][A-Za-z0-9._-]{2,254}$"
_PREFIX = r"^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$"


class S3TlsConfig(Section):
    """TLS to the server, for https:// addresses."""

    ca_file: Text | None = Field(
        default=None, description="PEM file of the authorities to trust; the system's by default."
    )
    verify: Flag = Field(default=True, description="Check the server's certificate and host name.")


class S3Config(Section):
    """A bucket of an S3-compatible server that snapshots and clips are uploaded to."""

    endpoint: Text | None = Field(
        default=None,
        description="Address of the server, such as https://s3.example:9000; null for Amazon's in `region`.",
    )
    bucket: str = Field(
        pattern=_BUCKET, description="The bucket, which must exist.", examples=["framelane-media"]
    )
    region: Text = Field(default="us-east-1", description="The bucket's region.")
    prefix: Annotated[str, Field(pattern=_PREFIX, max_length=256)] = Field(
        default="",
        description="First part of every object's name, without a slash at either end; empty for none.",
    )
    access_key: Text | None = Field(
        default=None,
        description="Id of the access key; without one, that of the environment or of the cloud's instance.",
    )
    secret_key: SecretStr | None = Field(
        default=None, description="The secret of `access_key`; ${ENV} or secret_key_file is better."
    )
    secret_key_file: Text | None = Field(default=None, description="File that contains the secret.")
    path_style: Flag = Field(
        default=True,
        description="Whether the bucket's name stands in the path of requests; if off, in the host name.",
    )
    tls: S3TlsConfig = Field(default_factory=S3TlsConfig, description="TLS to the server.")
    connect_timeout_s: Seconds = Field(default=5.0, description="Seconds to wait for a connection.")
    read_timeout_s: Seconds = Field(
        default=30.0, description="Seconds without an answer after which an upload has failed."
    )
    delete_after_upload: Flag = Field(
        default=False, description="Whether a file is deleted from `folder` once it is uploaded."
    )
    public_url: Text | None = Field(
        default=None,
        description="Address at which consumers read the bucket; if set, `snapshot_url` and `clip_url` in "
        "messages begin with it, else they lead to the HTTP listener.",
    )
