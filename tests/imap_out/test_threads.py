"""THREAD on plain values: the RFC's rules, and a bound on what hostile references cost."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imap_out.threads import Message, ordered_subject, references, render


def mail(number: int, subject: str = "", refs: str = "", **facts) -> Message:
    facts = {"sent": number, "message_id": f"m{number}", "answers": bool(refs)} | facts
    return Message(number=number, subject=subject, references=refs.split(), **facts)


REFERENCES = {
    "nothing": ([], b""),
    "no references": ([mail(1), mail(2)], b"(1)(2)"),
    "a chain": ([mail(1), mail(2, refs="m1"), mail(3, refs="m1 m2")], b"(1 2 3)"),
    "siblings": ([mail(1), mail(2, refs="m1"), mail(3, refs="m1")], b"(1 (2)(3))"),
    "siblings by date": ([mail(1), mail(2, refs="m1", sent=9), mail(3, refs="m1")], b"(1 (3)(2))"),
    "roots by date": ([mail(1, sent=9), mail(2)], b"(2)(1)"),
    "one date": ([mail(2, sent=1), mail(1, sent=1)], b"(1)(2)"),
    "reply before its parent": ([mail(1, refs="m2"), mail(2)], b"(2 1)"),
    "a missing parent with one child": ([mail(1, refs="x")], b"(1)"),
    "a missing parent with two": ([mail(1, refs="x"), mail(2, refs="x")], b"((1)(2))"),
    "missing between": ([mail(1), mail(2, refs="m1 x"), mail(3, refs="m1 x")], b"(1 (2)(3))"),
    "missing above missing": ([mail(1, refs="x y"), mail(2, refs="x z")], b"((1)(2))"),
    "a dummy goes by its first child": (
        [mail(1, sent=5), mail(2, refs="x", sent=9), mail(3, refs="x", sent=2)],
        b"((3)(2))(1)",
    ),
    "the last reference is the parent": ([mail(1), mail(2), mail(3, refs="m1 m2")], b"(1 2 3)"),
    "later messages have their own say, earlier ones had it": (
        [mail(1), mail(2, refs="m3 m4 m1"), mail(3), mail(4)],
        b"(3)(4 1 2)",
    ),
    "a message with references keeps its own": (
        [mail(1), mail(2, refs="m1"), mail(3), mail(4, refs="m3 m2")],
        b"(1 2 4)(3)",
    ),
    "itself": ([mail(1, refs="m1"), mail(2, refs="m2 m2")], b"(1)(2)"),
    "a loop of two": ([mail(1, refs="m2"), mail(2, refs="m1")], b"(2 1)"),
    "a loop of three": ([mail(1, refs="m3"), mail(2, refs="m1"), mail(3, refs="m2")], b"(3 1 2)"),
    "one id twice": ([mail(1), mail(2, message_id="m1"), mail(3, refs="m1")], b"(1 3)(2)"),
    "no ids": ([mail(1, message_id=""), mail(2, message_id="")], b"(1)(2)"),
    "a subject gathers a reply": ([mail(1, "s"), mail(2, "s", answers=True)], b"(1 2)"),
    "a reply before": ([mail(1, "s", answers=True), mail(2, "s")], b"(2 1)"),
    "no reply": ([mail(1, "s"), mail(2, "s")], b"((1)(2))"),
    "three of them": ([mail(1, "s"), mail(2, "s"), mail(3, "s", answers=True)], b"((1)(2)(3))"),
    "two replies": ([mail(1, "s", answers=True), mail(2, "s", answers=True)], b"((1)(2))"),
    "into a dummy": ([mail(1, "s", "x"), mail(2, "s", "x"), mail(3, "s")], b"((1)(2)(3))"),
    "two dummies": (
        [mail(1, "s", "x"), mail(2, "s", "x"), mail(3, "s", "y"), mail(4, "s", "y")],
        b"((1)(2)(3)(4))",
    ),
    "a dummy after a message": ([mail(1, "s"), mail(2, "s", "x"), mail(3, "s", "x")], b"((1)(2)(3))"),
    "an empty subject gathers nothing": ([mail(1), mail(2, answers=True)], b"(1)(2)"),
    "subjects apart from references": ([mail(1, "s"), mail(2, "t", "m1"), mail(3, "t")], b"(1 2)(3)"),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_references(name):
    messages, expected = REFERENCES[name]
    assert render(references(messages)) == expected


def test_the_example_of_section_5():
    refs = {3: "", 6: "m3", 4: "m6", 23: "m4", 44: "m6", 7: "m44", 96: "m7", 2: ""}
    messages = [mail(n, f"s{n}", r, sent=place) for place, (n, r) in enumerate(refs.items(), 10)]
    messages[-1] = messages[-1]._replace(sent=0)
    assert render(references(messages)) == b"(2)(3 6 (4 23)(44 7 96))"


def test_ordered_subject():
    messages = [mail(1, "b", sent=5), mail(2, "a", sent=9), mail(3, "b", sent=2), mail(4, "b", sent=2)]
    assert render(ordered_subject(messages)) == b"(3 (4)(1))(2)"
    assert render(ordered_subject(messages[:3])) == b"(3 1)(2)"
    assert render(ordered_subject([])) == b""


_IDS = st.sampled_from([f"m{n}" for n in range(12)] + ["x", "y", "z"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(_IDS, max_size=5), _IDS, st.sampled_from("ab "), st.booleans())))
def test_every_message_is_said_once_whatever_it_refers_to(facts):
    messages = [
        Message(number, 7, subject.strip(), answers, message_id, refs)
        for number, (refs, message_id, subject, answers) in enumerate(facts, 1)
    ]
    for algorithm in (references, ordered_subject):
        said = render(algorithm(messages))
        assert sorted(map(int, re.findall(rb"\d+", said))) == list(range(1, len(facts) + 1))
        assert said.count(b"(") == said.count(b")")
        assert b"( " not in said and b" )" not in said and b"()" not in said


COUNT = 100_000


def _chain(order: list[int]) -> list[Message]:
    return [mail(n, refs=f"m{n - 1}") for n in order]


def _joined_at_the_end() -> list[Message]:
    """A chain of half of them, then pairs that each go below its end."""
    order = list(range(1, COUNT // 2))
    for n in range(COUNT // 2, COUNT, 2):
        order += (n + 1, n)
    return _chain(order)


def _shuffled() -> list[Message]:
    order = list(range(1, COUNT + 1))
    random.Random(5256).shuffle(order)
    return _chain(order)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [mail(n, "s", "a b c") for n in range(1, COUNT + 1)],
        lambda: [mail(n, "s", message_id="same", answers=n % 2 == 0) for n in range(1, COUNT + 1)],
        lambda: _chain(list(range(1, COUNT + 1))),
        lambda: _chain(list(range(COUNT, 0, -1))),
        _joined_at_the_end,
        _shuffled,
    ],
    ids=["equal", "one id", "chain", "chain backwards", "joined at the end", "shuffled"],
)
@pytest.mark.slow
def test_cost_of_a_hundred_thousand(make):
    messages = make()
    started = time.perf_counter()
    said = render(references(messages))
    assert time.perf_counter() - started < 8  # about 1 s each; quadratic would be many minutes
    assert len(re.findall(rb"\d+", said)) == len(messages)
