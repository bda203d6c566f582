"""Why an upload failed: what to say, and when to try again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from framelane.core.errors import FramelaneError

if TYPE_CHECKING:
    from collections.abc import Mapping

Retry = Literal["soon", "late", "never"]
"""When to try again: after seconds, because it passes; after up to a minute, because somebody must act; or never."""


class UploadError(FramelaneError):
    """A file could not be uploaded.

    Attributes:
        reason: one machine word.
        retry: when to try again.
    """

    def __init__(self, reason: str, text: str, retry: Retry) -> None:
        super().__init__(text)
        self.reason = reason
        self.retry: Retry = retry


class Answer(NamedTuple):
    """What an error code of a server means.

    Attributes:
        reason: one machine word.
        retry: see UploadError.
        remedy: what to do, in words.
    """

    reason: str
    retry: Retry
    remedy: str


_KEYS = "check `media.s3.access_key` and its secret"
_RIGHTS = "allow this key s3:PutObject on the bucket"
_BUCKET = "create the bucket, or correct `media.s3.bucket`"
_REGION = "correct `media.s3.region` and `media.s3.endpoint`"
_CLOCK = "set this host's clock"
_FULL = "free space on the server, or raise its quota"

ANSWERS: Mapping[str, Answer] = {
    "AccessDenied": Answer("denied", "late", _RIGHTS),
    "AllAccessDisabled": Answer("denied", "late", _RIGHTS),
    "AccountProblem": Answer("denied", "late", "see the account at the provider"),
    "InvalidAccessKeyId": Answer("credentials", "late", _KEYS),
    # Versity's gateway.
    "XAdminUserNotFound": Answer("credentials", "late", _KEYS),
    "SignatureDoesNotMatch": Answer("credentials", "late", _KEYS),
    "ExpiredToken": Answer("credentials", "late", "renew the credentials of the environment"),
    "InvalidToken": Answer("credentials", "late", "renew the credentials of the environment"),
    "NoSuchBucket": Answer("bucket", "late", _BUCKET),
    "InvalidBucketName": Answer("bucket", "late", "correct `media.s3.bucket`"),
    "AuthorizationHeaderMalformed": Answer("region", "late", _REGION),
    "IllegalLocationConstraintException": Answer("region", "late", _REGION),
    "PermanentRedirect": Answer("region", "late", _REGION),
    "MethodNotAllowed": Answer("endpoint", "late", "correct `media.s3.endpoint` and `media.s3.path_style`"),
    "RequestTimeTooSkewed": Answer("clock", "late", _CLOCK),
    "RequestExpired": Answer("clock", "late", _CLOCK),
    "QuotaExceeded": Answer("full", "late", _FULL),
    "XMinioStorageFull": Answer("full", "late", _FULL),
    "InsufficientStorage": Answer("full", "late", _FULL),
    "EntityTooLarge": Answer("refused", "never", "raise the server's limit, or lower `clips.max_bytes`"),
    "KeyTooLongError": Answer("refused", "never", "shorten `media.s3.prefix`"),
}
"""The meaning of the codes in `<Error><Code>`, after Amazon's API reference of S3 and its likes."""

_BUSY = 429
_SERVER_ERRORS = 500
_BY_STATUS: Mapping[int, Answer] = {
    301: Answer("region", "late", _REGION),
    307: Answer("region", "late", _REGION),
    401: Answer("credentials", "late", _KEYS),
    403: Answer("denied", "late", _RIGHTS),
    404: Answer("bucket", "late", f"{_BUCKET} or `media.s3.endpoint`"),
    405: ANSWERS["MethodNotAllowed"],
    507: ANSWERS["InsufficientStorage"],
}
_ODD = Answer("endpoint", "late", "see the server's log, and check `media.s3.endpoint`")
_BROKEN = Answer("server", "soon", "see the server's log")


def answer_of(status: int, code: str) -> Answer:
    """Return what a server's error means: by its code if that is known, else by its HTTP status."""
    known = ANSWERS.get(code) or _BY_STATUS.get(status)
    if known is not None:
        return known
    return _BROKEN if status >= _SERVER_ERRORS or status == _BUSY or code == "RequestTimeout" else _ODD
