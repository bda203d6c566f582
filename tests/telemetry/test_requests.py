from __future__ import annotations

import re
import threading
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from framelane.telemetry.prometheus import MetricsPage, RequestCollector
from framelane.telemetry.requests import RequestMeter


def test_docs_list_every_metric_of_requests() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    families = RequestCollector(RequestMeter().snapshot).collect()
    names = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    documented = {f"framelane_{name}" for name in re.findall(r"^\| `(detect_\w+)` \|", text, re.MULTILINE)}
    assert documented == names


def test_requests_are_counted_by_status_and_those_with_a_result_timed() -> None:
    meter = RequestMeter()
    for status, took_s in ((200, 0.03), (200, 0.15), (429, 9.0), (200, 0.05), (504, 5.0)):
        meter.request_done(status, took_s)
    text = MetricsPage(RequestCollector(meter.snapshot))("")[0].decode()
    found = {
        (sample.name.removeprefix("framelane_detect_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("framelane_detect_")
    }
    assert [found["requests_total", status] for status in ("200", "429", "504")] == [3.0, 1.0, 1.0]
    # P50 lies in the bucket up to 60 ms, P99 in that up to 150 ms.
    assert found["request_seconds_bucket", "0.04"] == 1.0
    assert found["request_seconds_bucket", "0.06"] == 2.0
    assert found["request_seconds_bucket", "0.15"] == found["request_seconds_count",] == 3.0


def test_no_request_is_lost_when_threads_count_at_once() -> None:
    meter = RequestMeter()

    def count() -> None:
        for _ in range(2000):
            meter.request_done(200, 0.01)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = meter.snapshot()
    assert (counts.statuses, counts.took.observations) == ({200: 8000}, 8000)
