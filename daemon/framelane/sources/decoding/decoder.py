"""Decodes one stream on NVDEC, or with FFmpeg on the CPU if NVDEC refuses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import av
from av import error as av_error
from av.codec.hwaccel import HWAccel

from framelane.media.exif import UPRIGHT
from framelane.media.jpeg import has_end
from framelane.media.orientation import display_orientation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from av.video.codeccontext import VideoCodecContext

    from framelane.config.sections.stream import StreamOptions

DecoderName = Literal["nvdec", "cpu"]

_SKIP = {"none": "DEFAULT", "nonref": "NONREF", "nonkey": "NONKEY"}
_MOST_FAILURES = 3
"""Units in a row that NVDEC may fail once it has worked, since packets get lost.

A key frame follows each failure.
"""
# AVCOL_SPC_UNSPECIFIED, libavutil/pixfmt.h.
_UNSPECIFIED = 2
_TURNED = "the video is stored turned, and pictures are turned on the CPU"


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """The decoder that a stream should use.

    Attributes:
        gpu: CUDA index of the GPU whose NVDEC decodes; None for the CPU.
        download: whether to copy NVDEC's frames to host memory, for models on the CPU.
        missing: why NVDEC, which was wanted, is not available on this host; else empty.
    """

    gpu: int | None = None
    download: bool = False
    missing: str = ""


ON_CPU = DecoderChoice()


def choose_decoder(
    wanted: Literal["auto", "nvdec", "cpu"],
    backends: Collection[str],
    gpu: int,
    why_no_nvdec: Callable[[], str | None],
) -> DecoderChoice:
    """Choose the decoder of one stream.

    Args:
        wanted: the stream's `decode`.
        backends: backends of the stream's models.
        gpu: index of the GPU that this process uses.
        why_no_nvdec: returns why NVDEC can't be used on this host, or None; called only if NVDEC is wanted.
    """
    on_gpu = set(backends) == {"tensorrt"}
    if wanted == "cpu" or (wanted == "auto" and not on_gpu):
        return ON_CPU
    why = why_no_nvdec()
    if why is None:
        return DecoderChoice(gpu, download=not on_gpu)
    return DecoderChoice(missing=why)


class CodedVideo(Protocol):
    """Video to decode: a container's stream, or the video of an RTSP session."""

    @property
    def codec_context(self) -> VideoCodecContext:
        """FFmpeg's CPU decoder for the video."""
        ...


@dataclass(frozen=True, slots=True)
class BareVideo:
    """Video without a container; a CodedVideo."""

    codec_context: VideoCodecContext


def open_nvdec(stream: CodedVideo, choice: DecoderChoice) -> VideoCodecContext:
    """Open NVDEC for a stream.

    It is a separate decoder besides the container's, so a refusal needs no second connection. FFmpeg copies
    each frame from NVDEC into a pool that grows, so frames that are still held never block decoding.

    Raises:
        FFmpegError: the driver refuses the stream.
        NotImplementedError: FFmpeg has no NVDEC support for this codec.
    """
    own = stream.codec_context
    hardware = HWAccel(
        "cuda",
        device=str(choice.gpu),
        is_hw_owned=not choice.download,
        allow_software_fallback=False,
        # The CUDA context that our kernels and TensorRT use.
        options={"primary_ctx": "1"},
    )
    decoder: Any = av.CodecContext.create(own.codec, "r", hwaccel=hardware)
    if not decoder.is_hwaccel:
        raise NotImplementedError
    decoder.extradata = own.extradata
    # The container may know values that the coded video does not include.
    for name in ("reorder_depth", "colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(decoder, name, getattr(own, name))
    nvdec: VideoCodecContext = decoder
    return nvdec


class StreamDecoder:
    """Decodes a stream's access units on NVDEC or on the CPU, and leaves NVDEC if it refuses the stream.

    FFmpeg reports the same error, invalid data, for a codec, profile or size that NVDEC lacks, for a full GPU
    and for a damaged picture. So once NVDEC fails, the CPU decodes the same units in parallel until either of
    them completes a frame. If the CPU is first, NVDEC has refused the stream, and the CPU keeps it without
    losing a frame.

    Args:
        stream: the video to decode.
        choice: the decoder to use.
        options: the stream's configuration.
        fell_back: called with the reason if a stream meant for NVDEC goes to the CPU.
        nvdec: opens NVDEC.
        in_file: whether a container holds the video. It may say that frames are stored rotated. NVDEC does
            not see the container, so the CPU decodes the first picture too and checks.
    """

    def __init__(
        self,
        stream: CodedVideo,
        choice: DecoderChoice,
        options: StreamOptions,
        fell_back: Callable[[str], None],
        nvdec: Callable[[CodedVideo, DecoderChoice], VideoCodecContext] = open_nvdec,
        *,
        in_file: bool = False,
    ) -> None:
        self._cpu = stream.codec_context
        self._is_jpeg = self._cpu.name == "mjpeg"
        self._looks = in_file
        self._fell_back = fell_back
        self._download = choice.download
        # Units in a row that NVDEC failed.
        self._failed = 0
        self._proven = self._trying = False
        # Why NVDEC failed at the last unit, if it did. Not the error itself: its traceback would keep NVDEC
        # open.
        self._refusal = ""
        _prepare(self._cpu, options)
        self._nvdec: VideoCodecContext | None = None
        if choice.missing:
            fell_back(choice.missing)
        if choice.gpu is not None:
            try:
                self._nvdec = nvdec(stream, choice)
                _prepare(self._nvdec, options)
            except NotImplementedError:
                fell_back(f"NVDEC does not decode {self._cpu.name}")
            except (av_error.FFmpegError, OSError) as error:
                fell_back(f"NVDEC can't be opened ({_words(error)})")

    @property
    def name(self) -> DecoderName:
        """The decoder in use."""
        return "cpu" if self._nvdec is None else "nvdec"

    @property
    def codec(self) -> str:
        """FFmpeg's name of the CPU decoder."""
        return self._cpu.name

    @property
    def fps(self) -> float | None:
        """The frame rate that the coded video declares; None if unknown or before the first frame."""
        rate = (self._nvdec or self._cpu).framerate
        return float(rate) if rate else None

    def decode(self, unit: av.Packet[Any] | None) -> list[av.VideoFrame] | None:
        """Return the frames that a unit completes; None if it is damaged.

        Without a unit, return held-back frames.

        Raises:
            FFmpegError: the decoder itself fails.
        """
        if self._is_jpeg and unit is not None and unit.size and not has_end(bytes(unit)):
            return None
        if self._nvdec is not None and self._looks and self._is_turned(unit):
            self._leave_nvdec(_TURNED)
        if self._nvdec is not None:
            return self._decode_on_nvdec(self._nvdec, unit)
        return self._decode_on_cpu(unit)

    def resume(self) -> None:
        """Continue at a key frame after a gap.

        A flush makes FFmpeg open NVDEC again for H.264. This takes the driver 70 ms, and only one stream at a
        time can do it. A key frame decodes correctly without a flush; the decoder then also outputs the
        frames it still holds.
        """
        if self._nvdec is None:
            self._cpu.flush_buffers()

    def flush(self) -> None:
        """Reset the decoder before the stream continues elsewhere."""
        self._cpu.flush_buffers()
        if self._nvdec is not None:
            self._nvdec.flush_buffers()

    def _decode_on_cpu(self, unit: av.Packet[Any] | None) -> list[av.VideoFrame] | None:
        try:
            return self._cpu.decode(unit)
        except av_error.InvalidDataError:
            return None

    def _is_turned(self, unit: av.Packet[Any] | None) -> bool:
        """Return whether frames are stored rotated. The CPU's first frame tells, and ends the check."""
        try:
            frames = [*self._cpu.decode(unit), *(self._cpu.decode(None) if unit is not None else ())]
        except (av_error.FFmpegError, OSError):
            frames = []
        self._cpu.flush_buffers()
        self._looks = not frames
        return any(display_orientation(frame) != UPRIGHT for frame in frames)

    def _leave_nvdec(self, why: str) -> None:
        self._nvdec = None
        self._fell_back(why)

    def _decode_on_nvdec(
        self, nvdec: VideoCodecContext, unit: av.Packet[Any] | None
    ) -> list[av.VideoFrame] | None:
        try:
            frames = nvdec.decode(unit)
        except (av_error.FFmpegError, OSError) as error:
            self._failed += 1
            self._refusal = _words(error)
            self._trying |= not self._proven or self._failed >= _MOST_FAILURES
            return self._try_cpu(unit) if self._trying else None
        if unit is not None:
            self._refusal = ""
        if frames:
            if frames[0].key_frame and display_orientation(frames[0]) != UPRIGHT:
                # The coded video itself says so.
                self._leave_nvdec(_TURNED)
                return self._decode_on_cpu(unit)
            if self._trying:
                self._cpu.flush_buffers()
            self._proven, self._trying, self._failed = True, False, 0
            return [self._colored(frame, nvdec) for frame in frames] if self._download else frames
        return (self._try_cpu(unit) or []) if self._trying else []

    def _try_cpu(self, unit: av.Packet[Any] | None) -> list[av.VideoFrame] | None:
        """Decode on the CPU besides NVDEC. If the CPU completes a frame first, the stream stays there."""
        try:
            frames = self._cpu.decode(unit)
        except av_error.InvalidDataError:
            return None
        if not self._refusal or all(frame.is_corrupt for frame in frames):
            return None
        self._leave_nvdec(f"NVDEC refuses it: {self._video(frames[-1])} ({self._refusal})")
        return frames

    def _video(self, frame: av.VideoFrame) -> str:
        profile = f" {self._cpu.profile}" if self._cpu.profile else ""
        return f"{self._cpu.name}{profile}, {frame.format.name}, {frame.width}x{frame.height}"

    @staticmethod
    def _colored(frame: av.VideoFrame, nvdec: VideoCodecContext) -> av.VideoFrame:
        """Restore the color space of a downloaded frame, which PyAV before 18 loses."""
        if frame.colorspace == _UNSPECIFIED:
            frame.colorspace = nvdec.colorspace
        if not frame.color_range:
            frame.color_range = nvdec.color_range
        return frame


def _prepare(decoder: VideoCodecContext, options: StreamOptions) -> None:
    # FFmpeg's default is one thread per core for each stream.
    decoder.thread_count = 1
    decoder.skip_frame = _SKIP[options.skip]  # type: ignore[assignment] # by the table


def _words(error: Exception) -> str:
    """Return FFmpeg's words without PyAV's addition, which may hold a URL."""
    return getattr(error, "strerror", None) or type(error).__name__
