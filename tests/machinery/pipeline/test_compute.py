"""Work that is spread here: in order, and no more of it at a time than there are threads."""

import threading

import pytest

from machinery.pipeline.compute import local_map


def double(shared: int, item: int) -> int:
    return shared * item


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    assert list(local_map(double, 2, range(20), threads=threads)) == list(range(0, 40, 2))


def test_without_threads_it_is_done_by_the_caller_when_it_is_asked_for() -> None:
    seen: list[int] = []

    def note(_: None, item: int) -> int:
        seen.append(item)
        return threading.get_ident()

    results = local_map(note, None, range(3))
    assert (next(results), seen) == (threading.get_ident(), [0])


def test_no_more_items_are_taken_than_are_worked_on() -> None:
    taken: list[int] = []
    items = (taken.append(item) or item for item in range(100))
    assert next(local_map(double, 1, items, threads=3)) == 0
    assert len(taken) == 4


def test_what_goes_wrong_is_raised_where_its_result_is_due() -> None:
    results = local_map(lambda one, item: one / item, 1, [1, 0, 2], threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
