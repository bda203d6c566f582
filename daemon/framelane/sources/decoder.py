"""What decodes one stream: NVDEC where that was chosen, and FFmpeg on the CPU for what NVDEC refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import av
from av import error as av_error
from av.codec.hwaccel import HWAccel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from av.video.codeccontext import VideoCodecContext

    from framelane.config.schema import StreamOptions

DecoderName = Literal["nvdec", "cpu"]

_SKIP = {"none": "DEFAULT", "nonref": "NONREF", "nonkey": "NONKEY"}
_PATIENCE = 25  # units in a row that a decoder which has worked may fail: packets get lost
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED, libavutil/pixfmt.h


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """Which decoder a stream is to have.

    Attributes:
        gpu: the GPU whose NVDEC decodes, as CUDA numbers it; None for the CPU.
        download: bring NVDEC's pictures to host memory, for models on the CPU.
        missing: why NVDEC, which should decode, can't be had on this host.
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
    """The decoder of one stream.

    Args:
        wanted: the stream's `decode`.
        backends: what runs the stream's models.
        gpu: the GPU that this process works on.
        why_no_nvdec: says why NVDEC can't be used on this host, or None; asked only where it matters.
    """
    on_gpu = set(backends) == {"tensorrt"}
    if wanted == "cpu" or (wanted == "auto" and not on_gpu):
        return ON_CPU
    why = why_no_nvdec()
    if why is None:
        return DecoderChoice(gpu, download=not on_gpu)
    return DecoderChoice(missing=why)


class CodedVideo(Protocol):
    """Video that is to be decoded: a container's stream, or what an RTSP session brings."""

    @property
    def codec_context(self) -> VideoCodecContext:
        """FFmpeg's decoder for it on the CPU."""
        ...


def open_nvdec(stream: CodedVideo, choice: DecoderChoice) -> VideoCodecContext:
    """NVDEC for an open stream.

    It is a decoder of its own beside the container's, so that a refusal costs no second connection. FFmpeg copies
    every picture out of NVDEC into a pool that grows: pictures that are held never keep it from decoding.

    Raises:
        FFmpegError: the driver refuses it.
        NotImplementedError: FFmpeg has no NVDEC for this codec.
    """
    own = stream.codec_context
    hardware = HWAccel(
        "cuda",
        device=str(choice.gpu),
        is_hw_owned=not choice.download,
        allow_software_fallback=False,
        options={"primary_ctx": "1"},  # the context that our kernels and TensorRT work in
    )
    decoder: Any = av.CodecContext.create(own.codec, "r", hwaccel=hardware)
    if not decoder.is_hwaccel:
        raise NotImplementedError
    decoder.extradata = own.extradata
    # What the container knows and the coded video may not say.
    for name in ("reorder_depth", "colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(decoder, name, getattr(own, name))
    nvdec: VideoCodecContext = decoder
    return nvdec


class StreamDecoder:
    """Decodes a stream's access units on NVDEC or on the CPU, and leaves NVDEC when it refuses the stream.

    FFmpeg says of a codec, profile or size that NVDEC lacks, and of a GPU that is full, what it says of a damaged
    picture: invalid data. So once NVDEC fails, the CPU decodes the same units beside it until one of them gives a
    whole picture. If that is the CPU, NVDEC has refused, and the CPU keeps the stream with no picture lost.

    Args:
        stream: what is to be decoded.
        choice: which decoder is wanted.
        options: the stream's configuration.
        fell_back: told why, when a stream that NVDEC should decode goes to the CPU.
        nvdec: opens NVDEC.
    """

    def __init__(
        self,
        stream: CodedVideo,
        choice: DecoderChoice,
        options: StreamOptions,
        fell_back: Callable[[str], None],
        nvdec: Callable[[CodedVideo, DecoderChoice], VideoCodecContext] = open_nvdec,
    ) -> None:
        self._cpu = stream.codec_context
        self._fell_back = fell_back
        self._download = choice.download
        self._failed = 0  # units in a row that NVDEC failed
        self._proven = self._trying = False
        # Why, if NVDEC failed at the last unit. Not the error itself: its traceback would keep NVDEC open.
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
        """What decodes now."""
        return "cpu" if self._nvdec is None else "nvdec"

    @property
    def fps(self) -> float | None:
        """The rate that the coded video declares, None where it declares none or no picture has come yet."""
        rate = (self._nvdec or self._cpu).framerate
        return float(rate) if rate else None

    def decode(self, unit: av.Packet[Any] | None) -> list[av.VideoFrame] | None:
        """The pictures that a unit completes, or that were held back when it is None; None where it is damaged.

        Raises:
            FFmpegError: the decoder itself fails.
        """
        if self._nvdec is not None:
            return self._decode_on_nvdec(self._nvdec, unit)
        try:
            return self._cpu.decode(unit)
        except av_error.InvalidDataError:
            return None

    def resume(self) -> None:
        """Go on at a key frame after a gap.

        A flush has FFmpeg open NVDEC anew for H.264, which takes the driver 70 ms, one stream after another. Without
        one a key frame is decoded all the same; what the decoder still holds of the time before it then comes out.
        """
        if self._nvdec is None:
            self._cpu.flush_buffers()

    def flush(self) -> None:
        """Forget the past, before the stream goes on elsewhere."""
        self._cpu.flush_buffers()
        if self._nvdec is not None:
            self._nvdec.flush_buffers()

    def _decode_on_nvdec(
        self, nvdec: VideoCodecContext, unit: av.Packet[Any] | None
    ) -> list[av.VideoFrame] | None:
        try:
            frames = nvdec.decode(unit)
        except (av_error.FFmpegError, OSError) as error:
            self._failed += 1
            self._refusal = _words(error)
            self._trying |= not self._proven or self._failed >= _PATIENCE
            return self._try_cpu(unit) if self._trying else None
        if unit is not None:
            self._refusal = ""
        if frames:
            if self._trying:
                self._cpu.flush_buffers()
            self._proven, self._trying, self._failed = True, False, 0
            return [self._coloured(frame, nvdec) for frame in frames] if self._download else frames
        return (self._try_cpu(unit) or []) if self._trying else []

    def _try_cpu(self, unit: av.Packet[Any] | None) -> list[av.VideoFrame] | None:
        """Decode beside NVDEC; where that gives a whole picture of what NVDEC failed at, the stream stays here."""
        try:
            frames = self._cpu.decode(unit)
        except av_error.InvalidDataError:
            return None
        if not self._refusal or all(frame.is_corrupt for frame in frames):
            return None
        self._nvdec = None
        self._fell_back(f"NVDEC refuses it: {self._video(frames[-1])} ({self._refusal})")
        return frames

    def _video(self, frame: av.VideoFrame) -> str:
        profile = f" {self._cpu.profile}" if self._cpu.profile else ""
        return f"{self._cpu.name}{profile}, {frame.format.name}, {frame.width}x{frame.height}"

    @staticmethod
    def _coloured(frame: av.VideoFrame, nvdec: VideoCodecContext) -> av.VideoFrame:
        """PyAV before 18 loses the colours' meaning when it downloads a picture."""
        if frame.colorspace == _UNSPECIFIED:
            frame.colorspace = nvdec.colorspace
        if not frame.color_range:
            frame.color_range = nvdec.color_range
        return frame


def _prepare(decoder: VideoCodecContext, options: StreamOptions) -> None:
    decoder.thread_count = 1  # FFmpeg's default is a thread a core for each stream
    decoder.skip_frame = _SKIP[options.skip]  # type: ignore[assignment] # by the table


def _words(error: Exception) -> str:
    """FFmpeg's words without what PyAV adds, which may hold a URL."""
    return getattr(error, "strerror", None) or type(error).__name__
