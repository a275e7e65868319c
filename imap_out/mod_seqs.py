"""What commands of several groups need to say of mod-sequences (RFC 7162).

Apart because SELECT, STATUS, FETCH, STORE, SEARCH and ENABLE are all "CONDSTORE enabling
commands". The numbers come from members' clients: 63 bits, and nothing is looked up by them
but what came after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imap_out.view import View
from mail.numbers import NumberSet
from mail.search import And, Key, ModSeq, Not, Or

if TYPE_CHECKING:
    from imap_out.session import Session


def use(session: Session) -> None:
    """RFC 7162 section 3.1: a client that shows that it knows of mod-sequences hears of them with
    each change of flags from here on, and first where the selected folder stands."""
    if session.enabled.condstore:
        return
    session.enabled.condstore = True
    if session.view is not None:
        session.say(b"* OK [%b] Highest.\r\n" % highest(session.view))


def use_qresync(session: Session) -> None:
    """RFC 7162 section 3.2.3: CONDSTORE is in it."""
    use(session)
    session.enabled.qresync = True


def highest(view: View) -> bytes:
    """The response code: all that happened up to there, this session has heard of."""
    return b"HIGHESTMODSEQ %d" % view.highest_mod_seq


def vanished_earlier(view: View, since: int, uids: NumberSet | None) -> bytes:
    """RFC 7162 section 3.2.10.1: those of the UIDs, or of all, that went after `since`. What the client
    still has a number for is left to its VANISHED without EARLIER, which takes the number away."""
    gone = view.store.changes(view.folder, since).vanished
    among = gone if uids is None else uids.among(gone)
    earlier = [uid for uid in among if not view.number(uid)]
    return b"* VANISHED (EARLIER) %b\r\n" % NumberSet.of(earlier).render() if earlier else b""


def of_found(session: Session, key: Key, uids: Sequence[int]) -> int:
    """RFC 7162 section 3.1.6: the highest among what was found by a key that holds MODSEQ, which
    shows that the client knows of it; 0 for any other key, and when nothing was found."""
    waiting = [key]
    while waiting:
        match waiting.pop():
            case ModSeq():
                use(session)
                return max(map(session.selected.mod_seq, uids), default=0)
            case And(keys):
                waiting += keys
            case Or(left, right):
                waiting += (left, right)
            case Not(inner):
                waiting.append(inner)
    return 0


def after_removal(session: Session) -> bytes:
    """The response code of a command that removed messages, "" without QRESYNC.

    RFC 7162 sections 3.2.7, 3.2.9: the client takes the number for its own, so what happened
    up to there is said first.
    """
    if not session.enabled.qresync:
        return b""
    session.catch_up(expunges=True)
    return highest(session.selected)
