"""The bounded map: what it keeps, what it evicts, and that threads get the same value."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from m2m_auth.runtime.bounded_map import BoundedMap

KEYS = st.integers(0, 9)
STEPS = st.lists(st.tuples(st.sampled_from(["get", "set", "get_or_add", "pop"]), KEYS), max_size=60)


@given(steps=STEPS, capacity=st.integers(1, 5))
def test_it_is_an_ordered_dict_with_a_bound(steps: list[tuple[str, int]], capacity: int) -> None:
    """Any sequence of operations leaves what a plain LRU over an OrderedDict leaves, in the same order."""
    model: OrderedDict[int, str] = OrderedDict()
    evicted: list[str] = []
    bounded: BoundedMap[int, str] = BoundedMap(capacity, evicted.append)
    expected: list[str] = []
    for number, (step, key) in enumerate(steps):
        value = f"{key} of {number}"
        if step == "get":
            assert bounded.get(key) == model.get(key)
        elif step == "set":
            bounded.set(key, value)
            model[key] = value
        elif step == "pop":
            assert bounded.pop(key) == model.pop(key, None)
        else:
            assert bounded.get_or_add(key, lambda made=value: made) == model.setdefault(key, value)
        if key in model:
            model.move_to_end(key)
        if len(model) > capacity:
            expected.append(model.popitem(last=False)[1])
    assert bounded.values() == list(model.values())
    assert len(bounded) == len(model) <= capacity
    assert evicted == expected


def test_threads_agree_on_a_value() -> None:
    """Of 16 threads that build one key's value at once, all get the same one."""
    bounded: BoundedMap[str, object] = BoundedMap(4)
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: id(bounded.get_or_add("key", object)), range(64)))
    assert len(found) == 1
