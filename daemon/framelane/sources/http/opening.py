"""Opens a stream's HTTP address as what it is: live HLS, single pictures, or a source for FFmpeg."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from framelane.core.errors import SourceError
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.ffmpeg.video_choice import numbered
from framelane.sources.http.client import HttpClient
from framelane.sources.http.hls import HlsSource, LivePlaylist
from framelane.sources.http.playlist import MAGIC, parse_media, parse_variants
from framelane.sources.http.segment_feed import load_text, read_text
from framelane.sources.http.shown_segments import ShownSegments
from framelane.sources.http.snapshot import SnapshotSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.config.sections.stream import StreamConfig, StreamOptions
    from framelane.sources.decoding.source_parts import SourceParts
    from framelane.sources.ffmpeg.connection import FfmpegConnection
    from framelane.sources.http.client import Response
    from framelane.sources.http.playlist import Variant

HttpSource = HlsSource | SnapshotSource | ContainerSource

_PLAYLISTS = (".m3u8", ".m3u")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_PLAYLIST_TYPE = "mpegurl"
# FFmpeg's names of the demuxers for single images.
_PICTURE_FORMATS = ("image2", "jpeg_pipe", "png_pipe", "webp_pipe")
_ONE_BY_ONE = {"http_multiple": "0", "http_persistent": "0"}
"""FFmpeg opens the next segment while it reads one.

If reading is paced, the server closes that connection.
"""


class HttpOpener:
    """Opens one stream's address repeatedly. Remembers what it is and what was shown.

    An address that looks like a playlist or a picture is requested here first. All others go to FFmpeg,
    because many cameras serve only one connection. If FFmpeg finds a playlist or a picture, it is then opened
    here.

    Args:
        config: the stream, at `http://` or `https://`.
        parts: the parts of the stream.
        unchanged: called with whether the server says that its picture has not changed.
    """

    def __init__(self, config: StreamConfig, parts: SourceParts, unchanged: Callable[[bool], None]) -> None:
        self._url, self._name = config.url.get_secret_value(), config.id
        self._options, self._parts = config, parts
        self._unchanged = unchanged
        self._shown = ShownSegments()
        self._asks = urlsplit(self._url).path.lower().endswith((*_PLAYLISTS, *_PICTURES))

    def open(self, connection: FfmpegConnection | None = None) -> HttpSource:
        """Open the address; `connection` watches FFmpeg's connection.

        Raises:
            SourceError: it can't be opened.
        """
        options = self._options
        if options.ffmpeg or options.reader == "ffmpeg":
            playlist = urlsplit(self._url).path.lower().endswith(_PLAYLISTS)
            return self._by_ffmpeg(self._url, _one_by_one(options) if playlist else options, connection)
        if self._asks:
            source = self._ask()
            if source is not None:
                return source
        opened = self._by_ffmpeg(self._url, options, connection)
        if opened.format in ("hls", *_PICTURE_FORMATS) and not self._asks:
            opened.close()
            self._asks = True
            source = self._ask()
            return self._by_ffmpeg(self._url, options, connection) if source is None else source
        return opened

    def _ask(self) -> HttpSource | None:
        """Return the source at the address; None if FFmpeg has to read it."""
        client = HttpClient(self._url, self._options)
        with client.get(client.url, self._options.open_timeout_s) as response:
            if response.media_type.startswith("image/"):
                return self._pictures(client, response)
            path = urlsplit(response.url).path.lower()
            if _PLAYLIST_TYPE not in response.media_type and not path.endswith(_PLAYLISTS):
                return None
            text, url = read_text(response), response.url
        if not text.lstrip("\ufeff").startswith(MAGIC):
            return None
        return self._playlist(client, text, url)

    def _pictures(self, client: HttpClient, response: Response) -> SnapshotSource:
        return SnapshotSource(client, response, self._options, self._parts, self._unchanged)

    def _playlist(self, client: HttpClient, text: str, url: str) -> HlsSource | ContainerSource:
        variants, note = parse_variants(text, url), ""
        if variants:
            variant, note = choose_variant(variants, self._options.video)
            text, url = load_text(client, variant.url, self._options)
        playlist = parse_media(text, url)
        if playlist.ended and not self._shown.empty:
            raise SourceError("ended", "the server has ended the stream: its playlist says so")
        if playlist.ended or playlist.encrypted:
            options = _one_by_one(self._options)
            # `video` selected one of the variants.
            if variants:
                options = options.model_copy(update={"video": None})
            opened = self._by_ffmpeg(client.with_login(url), options)
            opened.choice_note = note or opened.choice_note
            return opened
        return HlsSource(
            client,
            LivePlaylist(url, playlist, note, None if variants else self._options.video),
            self._options,
            self._parts,
            self._shown,
            f"hls-{self._name}",
        )

    def _by_ffmpeg(
        self, url: str, options: StreamOptions, connection: FfmpegConnection | None = None
    ) -> ContainerSource:
        return ContainerSource(url, options, self._parts, connection)


def _one_by_one(options: StreamOptions) -> StreamOptions:
    return options.model_copy(update={"ffmpeg": {**_ONE_BY_ONE, **options.ffmpeg}})


def choose_variant(variants: Sequence[Variant], wanted: int | None) -> tuple[Variant, str]:
    """Return the variant to show, by default the largest, and a note if there is a choice.

    Args:
        variants: all variants.
        wanted: the stream's `video`: the index among variants with video, from 0.

    Raises:
        SourceError: there is no such variant.
    """
    videos = [each for each in variants if not each.sound]
    if not videos:
        raise SourceError("no-video", "there is no video in it, but audio; check the path in the URL")
    if wanted is None:
        chosen = max(videos, key=lambda each: (_area(each), each.bandwidth))
    elif wanted < len(videos):
        chosen = videos[wanted]
    else:
        raise SourceError("no-video", f"there is no video {wanted}: {numbered(len(videos))}")
    several = len(videos) > 1
    return chosen, f"video {videos.index(chosen)} of {len(videos)} ({chosen}) is shown" if several else ""


def _area(variant: Variant) -> int:
    return 0 if variant.size_wh is None else variant.size_wh[0] * variant.size_wh[1]
