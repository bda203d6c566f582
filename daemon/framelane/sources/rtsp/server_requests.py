"""Answers a server's requests during playback and recognizes those that end it (RFC 2326 section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.sources.rtsp.errors import MalformedError, UnsupportedError
from framelane.sources.rtsp.message import build_answer, parse_request
from framelane.sources.rtsp.sdp import find_video

if TYPE_CHECKING:
    from framelane.sources.rtsp.message import Request
    from framelane.sources.rtsp.sdp import VideoMedia

_OURS = ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "REDIRECT", "PLAY_NOTIFY", "TEARDOWN")
_THEIRS = frozenset({"DESCRIBE", "SETUP", "PLAY", "PAUSE", "RECORD"})
"""Requests that only a client sends (RFC 2326 table 2)."""
# RFC 7826 section 18.32.
_END_OF_STREAM = "end-of-stream"
_OK = 200, "OK"
_ENDINGS = {
    "REDIRECT": "the server wants the stream to be opened again, perhaps elsewhere (REDIRECT)",
    "TEARDOWN": "the server has ended the session (TEARDOWN)",
    "PLAY_NOTIFY": "the server says that the stream has ended (PLAY_NOTIFY)",
    "ANNOUNCE": "the server announces another video (ANNOUNCE)",
}


def answer_request(message: bytes, media: VideoMedia) -> tuple[bytes, SourceError | None]:
    """Return the answer to a server's request, and the reason to open the stream again if there is one.

    The answer is empty if the request makes no sense.

    Args:
        message: one whole request.
        media: the video that is playing.
    """
    try:
        request = parse_request(message)
    except MalformedError:
        return b"", None
    status = _status(request)
    headers = {"CSeq": request.first("cseq"), "Session": request.first("session")}
    if request.method == "OPTIONS":
        headers["Public"] = ", ".join(_OURS)
    elif status != _OK:
        headers["Allow"] = ", ".join(_OURS)
    ends = status == _OK and _ends(request, media)
    return build_answer(*status, headers), SourceError("lost", _ENDINGS[request.method]) if ends else None


def _status(request: Request) -> tuple[int, str]:
    if request.first("require"):
        return 551, "Option not supported"
    if request.method in _THEIRS:
        return 405, "Method Not Allowed"
    if request.method not in _OURS:
        return 501, "Not Implemented"
    if request.method == "SET_PARAMETER" and request.body.strip():
        return 451, "Parameter Not Understood"
    return _OK


def _ends(request: Request, media: VideoMedia) -> bool:
    if request.method == "PLAY_NOTIFY":
        return request.first("notify-reason").lower() == _END_OF_STREAM
    if request.method == "ANNOUNCE":
        return _announces_other(request.body, media)
    return request.method in _ENDINGS


def _announces_other(body: bytes, media: VideoMedia) -> bool:
    """Return whether an announced description changes the video in a way that needs a new session."""
    try:
        description = find_video(body, media.number if media.videos > 1 else None)
    except (UnsupportedError, SourceError):
        return True
    # The announcement is not about video.
    if description is None:
        return False
    video = description.video
    same = (video.codec, video.payload_type, video.clock_rate) == (
        media.codec,
        media.payload_type,
        media.clock_rate,
    )
    return not same or (bool(video.extradata) and video.extradata != media.extradata)
