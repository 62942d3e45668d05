"""The buffer, from several threads and with Ctrl-C."""

import gc
import pickle
import threading
import weakref

import pytest

from qstore import AsyncBuffer


def test_a_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="maxsize is 0"):
        AsyncBuffer(0)


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan")])
def test_a_negative_timeout_is_refused(timeout):
    with pytest.raises(ValueError, match="timeout is"):
        AsyncBuffer(1).pop(timeout=timeout)


def test_a_timeout_beyond_any_clock_waits():
    buffer = AsyncBuffer(1)
    threading.Timer(0.05, buffer.push, ["late"]).start()
    assert buffer.pop(timeout=1e300) == "late"


def test_items_are_released():
    class Item:
        pass

    buffer = AsyncBuffer(2)
    items = [Item() for _ in range(4)]
    alive = [weakref.ref(item) for item in items]
    assert [buffer.push(item) for item in items] == [True, True, False, False]
    del items
    gc.collect()
    assert [ref() is not None for ref in alive] == [True, True, False, False]
    buffer.pop()
    buffer.clear()
    assert all(ref() is None for ref in alive)
    buffer.push(Item())
    last = weakref.ref(buffer.pop())
    del buffer
    assert last() is None


def test_every_item_of_several_producers_arrives_once():
    buffer = AsyncBuffer(64)
    taken, lost = [], [0] * 4

    def produce(number):
        for i in range(5_000):
            lost[number] += not buffer.push((number, i))

    producers = [threading.Thread(target=produce, args=[number]) for number in range(4)]
    for producer in producers:
        producer.start()
    while any(producer.is_alive() for producer in producers) or len(buffer):
        taken += buffer.pop_many(100, 0.01)
    assert len(taken) == len(set(taken)) == 20_000 - sum(lost)
    stats = buffer.stats()
    assert (stats["pushed"], stats["dropped"]) == (len(taken), sum(lost))
    for number in range(4):
        of_one = [i for producer, i in taken if producer == number]
        assert of_one == sorted(of_one)


def test_a_buffer_is_not_pickled():
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(AsyncBuffer(1))
