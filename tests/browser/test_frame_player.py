"""Video in a browser that does not play the codec itself but decodes it: WebCodecs, with the same exact boxes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.live.coded import FPS, recording, unit_of
from tests.waiting import wait_until

from framelane.live.records import Kind
from framelane.live.video import Video
from framelane.sources.interfaces.tap import UnitOrigin

from .reading import LEFT, READ_NUMBERS, after_a_gap, shown, strangers, tracked
from .scene import Scene

if TYPE_CHECKING:
    from lab.browser import Browser, Tab

WITHOUT_MSE = "MediaSource.isTypeSupported = () => false;\n"
NO_SOURCE = "delete window.MediaSource;\n"
COUNT_DECODED = """
window.decoded = 0;
window.configured = [];
const { decode, configure } = VideoDecoder.prototype;
VideoDecoder.prototype.decode = function (chunk) { window.decoded += 1; return decode.call(this, chunk); };
VideoDecoder.prototype.configure = function (config) {
  window.configured.push(config.codec);
  return configure.call(this, config);
};
"""
FIND_WAITING = """
import("/page/frame_player.js").then(({ FramePlayer }) => {
  window.longest = 0;
  const { takeVideo } = FramePlayer.prototype;
  FramePlayer.prototype.takeVideo = function (record) {
    takeVideo.call(this, record);
    window.longest = Math.max(window.longest, this.waiting.length);
  };
  return true;
})
"""


def decoded(tab: Tab) -> int:
    count: int = tab.run("window.decoded")
    return count


@pytest.mark.parametrize("before", [WITHOUT_MSE, NO_SOURCE], ids=["codec unknown", "no MSE"])
@pytest.mark.parametrize("kind", ["h264", "h264-bframes"])
def test_each_frame_has_its_own_boxes(browser: Browser, kind: str, before: str) -> None:
    script = before + COUNT_DECODED + READ_NUMBERS
    with Scene(["cam"], kind=kind) as scene, browser.open(scene.url, before=script) as tab:
        frames = shown(tab, 6 * FPS)
        assert decoded(tab) >= len(frames)
        assert tab.complaints == []
    assert strangers(frames) == []
    settled = frames[2 * FPS :]
    # Numbers go up, and few frames are missing even beside other tests.
    steps = [(after["number"] - before["number"]) % LEFT for before, after in pairwise(settled)]
    assert min(steps) >= 1
    assert sum(each["exact"] for each in settled) >= 0.5 * len(settled)


def test_browser_that_plays_a_codec_itself_does_so(browser: Browser) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url, before=COUNT_DECODED + READ_NUMBERS) as tab:
        shown(tab, FPS)
        assert decoded(tab) == 0


def test_browser_that_refuses_a_codec_only_when_it_comes_decodes_it(browser: Browser) -> None:
    """Only the key frame tells profile and level."""
    refusing = """
    const { isTypeSupported } = MediaSource;
    MediaSource.isTypeSupported = (type) => type.includes("avc1.64001F") && isTypeSupported(type);
    """
    with (
        Scene(["cam"]) as scene,
        browser.open(scene.url, before=refusing + COUNT_DECODED + READ_NUMBERS) as tab,
    ):
        frames = shown(tab, FPS)
        assert decoded(tab) >= len(frames)
        assert tab.complaints == []
    assert strangers(frames) == []


def test_browser_that_neither_plays_nor_decodes_shows_stills(browser: Browser) -> None:
    script = WITHOUT_MSE + "delete window.VideoDecoder;\n" + READ_NUMBERS
    with Scene(["cam"]) as scene, browser.open(scene.url, before=script) as tab:
        tab.wait_for("window.shown.length >= 3")
        assert all(each["still"] for each in tab.run("window.shown"))
        assert tab.complaints == []


def test_decoder_that_fails_again_and_again_gives_way_to_stills(browser: Browser) -> None:
    failing = """
    VideoDecoder.prototype.decode = function () { throw new DOMException("by test", "EncodingError"); };
    """
    with Scene(["cam"]) as scene, browser.open(scene.url, before=WITHOUT_MSE + failing + READ_NUMBERS) as tab:
        # Video is not even asked for any more.
        camera = scene.cameras["cam"]
        wait_until(lambda: camera.tap.frame is not None and camera.tap.unit is None)
        tab.run("window.shown = []")
        tab.wait_for("window.shown.filter((each) => each.still).length >= 4")
        assert tab.run("window.shown.every((each) => each.still)")
        assert tab.complaints == []


def test_tracked_objects_are_between_their_places_on_frames_between(browser: Browser) -> None:
    def infer(number: int) -> bool:
        return number % 3 == 0

    with (
        Scene(["cam"], infer=infer, find=tracked) as scene,
        browser.open(scene.url, before=WITHOUT_MSE + READ_NUMBERS) as tab,
    ):
        frames = shown(tab, 6 * FPS)
    settled = [each for each in frames[2 * FPS :] if each["boxes"]]
    assert len(settled) >= 0.5 * len(frames[2 * FPS :])
    assert {each["exact"] for each in settled} == {True, False}
    moved = [abs(each["boxes"][0] - each["number"]) for each in settled if 3 < each["number"] < LEFT - 3]
    assert max(moved) < 0.1


def test_video_goes_on_after_a_reconnect_and_a_gap(browser: Browser) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url, before=WITHOUT_MSE + READ_NUMBERS) as tab:
        frames = after_a_gap(tab, scene.cameras["cam"])
        assert tab.complaints == []
    assert strangers(frames) == []


def test_video_of_another_size_goes_on_with_its_own_configuration(browser: Browser) -> None:
    script = WITHOUT_MSE + COUNT_DECODED + READ_NUMBERS
    with Scene(["cam"]) as scene, browser.open(scene.url, before=script) as tab:
        shown(tab, FPS)
        camera = scene.cameras["cam"]
        camera.become("h264", (640, 480))
        tab.run("window.shown = []; window.sizes = new Set()")
        tab.run(
            "document.addEventListener('framelane:shown', (event) => window.sizes.add(String(event.detail.size)))"
        )
        tab.wait_for("window.sizes.has('640,480')")
        tab.run("window.shown = []")
        frames = shown(tab, 2 * FPS)
        assert len(tab.run("window.configured")) == 2
        assert tab.complaints == []
    assert strangers(frames) == []


def test_tab_that_shows_nothing_holds_little_and_goes_on_at_once(browser: Browser) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url, before=WITHOUT_MSE + READ_NUMBERS) as tab:
        shown(tab, FPS)
        tab.run(FIND_WAITING)
        tab.run("window.real = window.requestAnimationFrame; window.held = []")
        tab.run("window.requestAnimationFrame = (callback) => { window.held.push(callback); return 0; }")
        tab.run("new Promise((done) => setTimeout(done, 6000))")
        assert tab.run("window.longest") <= 4 * FPS
        tab.run("window.shown = []")
        tab.run(
            "window.requestAnimationFrame = window.real; for (const each of window.held) requestAnimationFrame(each)"
        )
        frames = shown(tab, FPS)
        assert tab.complaints == []
    assert strangers(frames) == []
    late_s = [each["at"] - each["captured"] for each in frames[FPS // 2 :]]
    assert min(late_s) < 1.0


def key_payload(kind: str) -> bytes:
    made = recording("hevc" if kind == "hevc" else "h264", 1)
    video = Video()
    record = video.add(UnitOrigin(made.codec), unit_of(made.units[0], made.extradata))
    assert record is not None
    assert record.kind is Kind.VIDEO
    return record.payload


def taken_apart(tab: Tab, payload: bytes) -> str:
    """What the page makes of a key frame's payload: its parts' sizes, or the fault."""
    script = """
    import("/page/fragments.js").then(({ keyFrame }) => {
      try {
        const { codec, description, sample } = keyFrame(Uint8Array.from(BYTES));
        return [codec, description.length, sample.length].join(" ");
      } catch (error) {
        return error.message;
      }
    })
    """.replace("BYTES", str(list(payload)))
    found: str = tab.run(script)
    return found


def test_fragments_are_taken_apart_as_they_were_made_or_refused(browser: Browser) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url) as tab:
        for kind, name in (("h264", b"avcC"), ("hevc", b"hvcC")):
            payload = key_payload(kind)
            at = payload.index(name) - 4
            size = int.from_bytes(payload[at : at + 4], "big") - 8
            mdat = payload.index(b"mdat") + 4
            codec = payload[1 : 1 + payload[0]].decode()
            assert taken_apart(tab, payload) == f"{codec} {size} {len(payload) - mdat}"
            wrong = {
                b"": "the codec string is cut off",
                payload[:5]: "the codec string is cut off",
                payload[: 1 + payload[0]]: "no whole moov box",
                payload[:at]: "no whole moov box",
                payload[:-1]: "no whole mdat box",
                payload.replace(name, b"none"): f"no whole {name.decode()} box",
                payload.replace(b"stsd", b"none"): "no whole stsd box",
                payload[:at] + b"\x00\x00\x00\x04" + payload[at + 4 :]: f"no whole {name.decode()} box",
                payload[:at] + b"\x7f\xff\xff\xff" + payload[at + 4 :]: f"no whole {name.decode()} box",
            }
            assert {text: taken_apart(tab, each) for each, text in wrong.items()} == {
                text: text for text in wrong.values()
            }
