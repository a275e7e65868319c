"""THREAD's two algorithms on plain values (RFC 5256 section 3).

Apart because they know nothing of IMAP or of a store. The references are anybody's: a loop of
them, a hundred thousand equal ones or a chain as long must cost no more than sorting. So whether
a link would close a loop is asked of a union-find, and nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Message(NamedTuple):
    """What threading compares of one message."""

    number: int  # as answered: a message number or a UID
    sent: int
    subject: str  # the base subject, as it is compared
    answers: bool  # whether the base subject shows a reply or a forward
    message_id: str = ""
    references: Sequence[str] = ()  # eldest first


class Node:
    """A message and its children; without a message, a dummy."""

    __slots__ = ("children", "group", "message", "order", "parent")

    def __init__(self, message: Message | None = None, order: int = 0) -> None:
        self.message = message
        self.order = order
        self.parent: Node | None = None
        self.children: list[Node] = []
        self.group: Node = self

    @property
    def first(self) -> Message:
        """The message, or a dummy's first child's."""
        message = self.message or self.children[0].message
        assert message is not None  # dummies stand at the top only
        return message


def _moment(node: Node) -> tuple[int, int]:
    """Section 2.2: by sent date, then by number."""
    return node.first.sent, node.first.number


def ordered_subject(messages: Sequence[Message]) -> list[Node]:
    """ORDEREDSUBJECT: those of one subject are children of the first of them."""
    threads: dict[str, Node] = {}
    for message in sorted(messages, key=lambda m: (m.sent, m.number)):
        node = Node(message)
        if message.subject in threads:
            threads[message.subject].children.append(node)
        else:
            threads[message.subject] = node
    return list(threads.values())  # in the order of their first messages


def references(messages: Sequence[Message]) -> list[Node]:
    """REFERENCES."""
    roots = _pruned(_linked(messages))
    _sort(roots)  # step 4
    roots = _gathered(roots)
    _sort(roots)  # step 6
    return roots


def _linked(messages: Sequence[Message]) -> list[Node]:
    """Steps 1 and 2.

    (B), a message's own parent, comes for all of them before (A), the links among the ids they
    name: (B) has the last word over (A) anyhow, and so no link is ever broken again. Only where
    references contradict each other can that keep another of the links that make a loop.
    """
    known: dict[str, Node] = {}
    nodes: list[Node] = []
    for order, message in enumerate(messages):
        node = Node(message, order)
        nodes.append(node)
        if message.message_id:  # of two messages with one id, the later is as one without
            known.setdefault(message.message_id, node)

    def named(message_id: str) -> Node:
        if (node := known.get(message_id)) is None:
            node = known[message_id] = Node()
        return node

    for node, message in zip(nodes, messages, strict=True):
        if message.references:
            _link(named(message.references[-1]), node)
    for order, message in enumerate(messages):
        for parent_id, child_id in pairwise(message.references):
            parent, child = named(parent_id), named(child_id)
            if child.parent is None and (child.message is None or child.order < order):
                _link(parent, child)
    return [node for node in (*nodes, *known.values()) if node.parent is None]


def _link(parent: Node, child: Node) -> None:
    """Unless that closed a loop. The child has no parent yet, so it does if they are of one tree."""
    above, below = _group(parent), _group(child)
    if above is not below:
        child.parent = parent
        parent.children.append(child)
        below.group = above


def _group(node: Node) -> Node:
    while node.group is not node:
        node.group = node.group.group
        node = node.group
    return node


def _pruned(tops: Iterable[Node]) -> list[Node]:
    """Step 3: a dummy gives its children to its parent; at the top it stays if it has several."""
    roots: dict[int, Node] = {}
    waiting: list[tuple[Node, Node | None]] = [(node, None) for node in tops]
    while waiting:
        node, parent = waiting.pop()
        children, node.children = node.children, []
        stays = node.message is not None or parent is None
        waiting += ((child, node if stays else parent) for child in children)
        if parent is None:
            roots[id(node)] = node
        elif stays:
            parent.children.append(node)
    return [
        node if node.message or len(node.children) > 1 else node.children[0]
        for node in roots.values()
        if node.message or node.children
    ]


def _gathered(roots: Sequence[Node]) -> list[Node]:
    """Step 5: threads of one subject become one."""
    table: dict[str, Node] = {}
    for node in roots:
        subject = node.first.subject
        listed = table.get(subject)
        if subject and (
            listed is None
            or (
                listed.message is not None
                and (node.message is None or (listed.message.answers and not node.message.answers))
            )
        ):
            table[subject] = node
    found = {id(node): node for node in roots}
    for node in roots:
        listed = table.get(node.first.subject)
        if listed is None or listed is node:
            continue
        del found[id(node)]
        if listed.message is None:
            listed.children += node.children if node.message is None else (node,)
        elif node.first.answers and not listed.message.answers:
            listed.children.append(node)
        else:
            dummy = Node()
            dummy.children = [listed, node]
            del found[id(listed)]
            found[id(dummy)] = table[node.first.subject] = dummy
    return list(found.values())


def _sort(roots: list[Node]) -> None:
    """All siblings by date; at the top last, since a dummy goes by its first child."""
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        waiting += node.children
        node.children.sort(key=_moment)
    roots.sort(key=_moment)


def render(roots: Iterable[Node]) -> bytes:
    """`1*thread-list` (RFC 5256 section 5): `(2)(3 6 (4 23)(44 7 96))`."""
    said: list[bytes] = []
    waiting: list[Node | None] = list(reversed(list(roots)))  # None closes
    while waiting:
        node = waiting.pop()
        if node is None:
            said.append(b")")
            continue
        said.append(b"(")
        if node.message:
            said.append(b"%d" % node.message.number)
        while len(node.children) == 1:
            node = node.children[0]
            assert node.message is not None
            said.append(b" %d" % node.message.number)
        if node.children and node.message:
            said.append(b" ")
        waiting.append(None)
        waiting += reversed(node.children)
    return b"".join(said)
