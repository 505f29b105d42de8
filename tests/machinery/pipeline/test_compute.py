"""The local map: results in order, and no more items in flight than there are threads."""

import threading

import pytest

from machinery.pipeline.compute import local_map


def double(shared: int, item: int) -> int:
    return shared * item


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    assert list(local_map(double, 2, range(20), threads=threads)) == list(range(0, 40, 2))


def test_without_threads_the_caller_computes_each_item_when_it_is_due() -> None:
    calls: list[int] = []

    def note(_: None, item: int) -> int:
        calls.append(item)
        return threading.get_ident()

    results = local_map(note, None, range(3))
    assert (next(results), calls) == (threading.get_ident(), [0])


def test_no_more_items_are_consumed_than_are_in_flight() -> None:
    consumed: list[int] = []
    items = (consumed.append(item) or item for item in range(100))
    assert next(local_map(double, 1, items, threads=3)) == 0
    assert len(consumed) == 4


def test_an_exception_is_raised_where_the_result_is_due() -> None:
    results = local_map(lambda one, item: one / item, 1, [1, 0, 2], threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
