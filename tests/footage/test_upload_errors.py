from __future__ import annotations

import pytest

from framelane.footage.upload_errors import answer_of


@pytest.mark.parametrize(
    ("status", "code", "reason", "retry"),
    [
        (403, "AccessDenied", "denied", "late"),
        (403, "SignatureDoesNotMatch", "credentials", "late"),
        (403, "RequestTimeTooSkewed", "clock", "late"),
        (403, "SomethingNew", "denied", "late"),
        (404, "NoSuchBucket", "bucket", "late"),
        (404, "404", "bucket", "late"),
        (301, "PermanentRedirect", "region", "late"),
        (400, "EntityTooLarge", "refused", "never"),
        (400, "RequestTimeout", "server", "soon"),
        (400, "BadDigest", "endpoint", "late"),
        (429, "TooManyRequests", "server", "soon"),
        (500, "InternalError", "server", "soon"),
        (503, "SlowDown", "server", "soon"),
        (507, "XMinioStorageFull", "full", "late"),
        (507, "507", "full", "late"),
        (0, "0", "endpoint", "late"),
    ],
)
def test_answer_says_what_is_wrong_and_when_to_try_again(
    status: int, code: str, reason: str, retry: str
) -> None:
    answer = answer_of(status, code)
    assert (answer.reason, answer.retry) == (reason, retry)
    assert answer.remedy
