"""From the TOML file to `Settings`, or to the list of everything that is wrong with it.

Apart because a bad file must be refused whole, before anything starts (P20), and a sysadmin
wants all faults at once, not one per attempt. Each fault names file, key and reason. A key
that nobody knows is a fault too: a misspelt `max_totla_mb` would otherwise silently leave the
default in force. Reads one file; looks at nothing else on the machine (`secure-inbox check`
does that).
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from conf.settings import Settings
from conf.values import Endpoint, Network
from mail.address import Address, canonical_domain
from mail.errors import Refusal


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: in which file, at which key ("" for the file itself), and why."""

    file: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.reason}" if self.key else f"{self.file}: {self.reason}"


class BadConfig(Exception):
    """The file is refused; `faults` has every reason, at least one."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def load(path: Path) -> Settings:
    """Read and judge the whole file; BadConfig with every fault. Relative paths start at its directory."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as fault:
        raise BadConfig([Fault(str(path), "", f"cannot be read ({fault.strerror})")]) from None
    except UnicodeDecodeError:
        raise BadConfig([Fault(str(path), "", "is not UTF-8 text")]) from None
    except tomllib.TOMLDecodeError as fault:
        raise BadConfig([Fault(str(path), "", f"is not TOML: {fault}")]) from None
    reading = _Reading(path)
    settings = reading.table(Settings, table, "")
    if settings is not None:
        reading.judge(settings)
    if reading.faults or settings is None:
        raise BadConfig(reading.faults)
    return typing.cast(Settings, settings)


class _Reading:
    """One pass over one file, collecting faults."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.faults: list[Fault] = []

    def _fault(self, key: str, reason: str) -> None:
        self.faults.append(Fault(str(self._path), key, reason))

    def table(self, kind: type, value: Any, key: str) -> Any:
        """A TOML table as the dataclass `kind`; None after a fault."""
        if not isinstance(value, dict):
            return self._fault(key, "must be a table")
        known = {each.name: each for each in fields(kind)}
        for name in value.keys() - known.keys():
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; known here: {', '.join(known)}"
            self._fault(_join(key, name), "is no setting" + hint)
        hints = typing.get_type_hints(kind)
        found = {}
        for name, each in known.items():
            if name in value:
                found[name] = self.value(hints[name], value[name], _join(key, name), each)
            elif each.default is MISSING and each.default_factory is MISSING:
                self._missing(hints[name], _join(key, name))
        complete = not any(
            each.default is MISSING and each.default_factory is MISSING and found.get(name) is None
            for name, each in known.items()
        )
        present = {name: item for name, item in found.items() if item is not None}
        return kind(**present) if complete else None

    def _missing(self, kind: Any, key: str) -> None:
        if is_dataclass(kind) and kind not in _READERS:  # name what is missing in it, not only the heading
            self.table(typing.cast(type, kind), {}, key)
        else:
            self._fault(key, "must be set")

    def value(self, kind: Any, value: Any, key: str, about: Field[Any]) -> Any:
        """One value as the type that the field has; None after a fault."""
        origin, parameters = typing.get_origin(kind), typing.get_args(kind)
        if origin is types.UnionType:  # `Path | None`: None is what leaving it out means
            return self.value(parameters[0], value, key, about)
        if origin is tuple:
            return self._list(parameters[0], value, key, about)
        if origin is dict:
            return self._choices(value, key, about)
        if kind in _READERS:
            return self._plain(kind, value, key, about)
        return self.table(kind, value, key)

    def _plain(self, kind: Any, value: Any, key: str, about: Field[Any]) -> Any:
        expected, words, read = _READERS[kind]
        # bool is an int to Python: `max_count = true` would pass for 1.
        if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
            return self._fault(key, f"must be {words}, not {value!r}")
        try:
            result = read(value)
        except ValueError as fault:
            return self._fault(key, f"{fault}, not {value!r}")
        if isinstance(result, Path):
            result = self._path.parent.absolute() / result
        return result if self._within(result, key, about) else None

    def _list(self, kind: Any, value: Any, key: str, about: Field[Any]) -> Any:
        if not isinstance(value, list):
            return self._fault(key, "must be a list")
        items = [self.value(kind, item, f"{key}[{number}]", about) for number, item in enumerate(value)]
        return None if None in items else tuple(items)

    def _choices(self, value: Any, key: str, about: Field[Any]) -> Any:
        if not isinstance(value, dict):
            return self._fault(key, "must be a table")
        for name, item in value.items():
            if name not in about.metadata["choices"]:
                self._fault(f"{key}.{name}", f"must be one of {', '.join(about.metadata['choices'])}")
            elif not isinstance(item, int) or isinstance(item, bool):
                self._fault(f"{key}.{name}", f"must be a whole number, not {item!r}")
            else:
                self._within(item, f"{key}.{name}", about)
        return value

    def _within(self, value: Any, key: str, about: Field[Any]) -> bool:
        least, most, choices = (about.metadata[name] for name in ("least", "most", "choices"))
        if isinstance(value, int) and least is not None and not least <= value <= most:
            self._fault(key, f"must be from {least} to {most}, not {value}")
        elif isinstance(value, str) and choices and value not in choices:
            self._fault(key, f"must be one of {', '.join(choices)}, not {value!r}")
        else:
            return True
        return False

    def judge(self, settings: Settings) -> None:
        """What no single field can say."""
        for key, text in _domains(settings):
            self._must(key, text, canonical_domain, "is no domain name")
        for key, text in _addresses(settings):
            self._must(key, text, Address.parse, "is no e-mail address")
        for key, text in _whom(settings):
            self._must(
                key,
                text,
                Address.parse if "@" in text else canonical_domain,
                "is neither address nor domain",
            )
        if not settings.organisation.name.strip():
            self._fault("organisation.name", "must not be empty")
        if not settings.organisation.domains:
            self._fault("organisation.domains", "must name at least one domain")
        if settings.storage.server_key.is_relative_to(settings.storage.data_root):
            self._fault(
                "storage.server_key", "must not lie inside storage.data_root: a backup would carry both"
            )
        self._judge_sizes(settings)
        self._judge_endpoints(settings)

    def _must(self, key: str, text: str, read: Callable[[str], object], reason: str) -> None:
        try:
            read(text)
        except Refusal:
            self._fault(key, f"{text!r} {reason}")

    def _judge_sizes(self, settings: Settings) -> None:
        # base64 with line ends takes 78 octets for 57, and the text wants room too.
        totals = [settings.attachments.max_total_mb]
        totals += [each.max_total_mb for each in settings.attachments.exception]
        needed = max(totals) * 78 // 57 + 1
        for key, limit in (("smtp", settings.smtp.max_message_mb), ("imap", settings.imap.max_message_mb)):
            if limit < needed:
                self._fault(
                    f"{key}.max_message_mb",
                    f"must be at least {needed}: {max(totals)} MB of attachments take that much in base64",
                )

    def _judge_endpoints(self, settings: Settings) -> None:
        seen: dict[Endpoint, str] = {}
        for each in fields(settings.listen):
            for number, endpoint in enumerate(getattr(settings.listen, each.name)):
                key = f"listen.{each.name}[{number}]"
                if endpoint in seen:
                    self._fault(key, f"{endpoint} is taken by {seen[endpoint]}")
                seen.setdefault(endpoint, key)


def _day(value: date) -> date:
    if isinstance(value, datetime):
        raise ValueError("must be a day without a time")
    return value


_READERS: dict[Any, tuple[Any, str, Callable[[Any], Any]]] = {
    str: (str, "text", str),
    int: (int, "a whole number", int),
    bool: (bool, "true or false", bool),
    Path: (str, "a path", Path),
    date: (date, "a day such as 2027-01-31", _day),
    Endpoint: (str, '"host:port"', Endpoint.parse),
    Network: (str, "a network", Network.parse),
}


def _domains(settings: Settings) -> Iterator[tuple[str, str]]:
    for number, domain in enumerate(settings.organisation.domains):
        yield f"organisation.domains[{number}]", domain
    yield "organisation.hostname", settings.organisation.hostname
    for number, domain in enumerate(settings.neighbours.public_providers):
        yield f"neighbours.public_providers[{number}]", domain
    for number, route in enumerate(settings.outbound.route):
        for place, domain in enumerate(route.domains):
            if domain != "*":
                yield f"outbound.route[{number}].domains[{place}]", domain


def _addresses(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "organisation.support", settings.organisation.support
    for number, group in enumerate(settings.neighbours.group):
        for place, member in enumerate(group.members):
            yield f"neighbours.group[{number}].members[{place}]", member


def _whom(settings: Settings) -> Iterator[tuple[str, str]]:
    for number, each in enumerate(settings.attachments.exception):
        yield f"attachments.exception[{number}].who", each.who
    for number, other in enumerate(settings.retention.exception):
        yield f"retention.exception[{number}].who", other.who


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
