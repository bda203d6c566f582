"""The choice among ways to call a model."""

from __future__ import annotations

from framelane.measure.engine import EngineFigures, Shape, best_of, finalists, ways


def figures(batch: int, images_s: float, cpu_ms: float) -> EngineFigures:
    return EngineFigures(Shape(batch), images_s, cpu_ms, None)


def test_ways_are_callers_of_one_thread_then_one_caller_of_threads() -> None:
    expected = [
        Shape(1, 1, 1),
        Shape(1, 2, 1),
        Shape(1, 1, 2),
        Shape(4, 1, 1),
        Shape(4, 2, 1),
        Shape(4, 1, 2),
    ]

    assert expected == ways([1, 4], cores=2)


def test_best_takes_the_least_cpu_among_those_at_full_throughput() -> None:
    slow_and_cheap, fast, nearly_as_fast = (
        figures(1, 60.0, 10.0),
        figures(2, 100.0, 18.0),
        figures(4, 96.0, 15.0),
    )

    assert nearly_as_fast == best_of([slow_and_cheap, fast, nearly_as_fast])


def test_finalists_are_the_fastest() -> None:
    variants = [figures(1, 60.0, 10.0), figures(2, 100.0, 18.0), figures(4, 96.0, 15.0)]

    assert [Shape(2), Shape(4)] == finalists(variants, 2)
