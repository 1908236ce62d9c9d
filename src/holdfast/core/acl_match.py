"""Which stanza of many decides about a path: Vault's ranking, made fast, and several policies' words on one path merged.

Invariants: (1) stanzas on the same path are merged first, and `deny` among them leaves nothing else; (2) of different paths that match
the one with the highest rank decides alone; (3) an exact path decides before any pattern. Source: Vault, "Policies", priority matching.
"""
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from holdfast.core.policy import Capability, PathRules, Policy

DENIED = frozenset({Capability.DENY})


class Permissions(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What all policies together say of one path. `granting`: names of the policies that give each capability."""

    capabilities: frozenset[Capability]
    allowed: Mapping[str, tuple[object, ...]] = {}
    denied: Mapping[str, tuple[object, ...]] = {}
    required: tuple[str, ...] = ()
    min_wrapping_ttl_s: int = 0
    max_wrapping_ttl_s: int = 0
    granting: Mapping[Capability, tuple[str, ...]] = {}


def has_segment_wildcards(path: str) -> bool:
    """A `+` at the start of a segment makes the path one that is compared segment by segment."""
    return path == "+" or path.startswith("+/") or "/+" in path


def permissions(name: str, rules: PathRules) -> Permissions:
    """Of one stanza."""
    return Permissions(
        capabilities=rules.capabilities, allowed=rules.allowed, denied=rules.denied, required=rules.required,
        min_wrapping_ttl_s=rules.min_wrapping_ttl_s, max_wrapping_ttl_s=rules.max_wrapping_ttl_s,
        granting=dict.fromkeys(rules.capabilities, (name,)))


def merge(first: Permissions, second: Permissions) -> Permissions:
    """Two stanzas on the same path: capabilities add up, `deny` leaves nothing else, of wrapping times the shorter one holds."""
    if Capability.DENY in first.capabilities:
        return first
    if Capability.DENY in second.capabilities:
        return Permissions(capabilities=DENIED, granting={Capability.DENY: second.granting.get(Capability.DENY, ())})
    both = first.capabilities | second.capabilities
    return Permissions(
        capabilities=both, allowed=_join(first.allowed, second.allowed), denied=_join(first.denied, second.denied),
        required=tuple(dict.fromkeys((*first.required, *second.required))),
        min_wrapping_ttl_s=_shorter(first.min_wrapping_ttl_s, second.min_wrapping_ttl_s),
        max_wrapping_ttl_s=_shorter(first.max_wrapping_ttl_s, second.max_wrapping_ttl_s),
        granting={c: tuple(dict.fromkeys((*first.granting.get(c, ()), *second.granting.get(c, ())))) for c in sorted(both)})


def _join(first: Mapping[str, tuple[object, ...]], second: Mapping[str, tuple[object, ...]]) -> Mapping[str, tuple[object, ...]]:
    joined = dict(first)
    for name, values in second.items():
        known = joined.get(name)
        # Any value (no list) is wider than every list, for what is denied as for what is allowed.
        joined[name] = values if known is None else () if not values or not known else (*values, *known)
    return joined


def _shorter(first_s: int, second_s: int) -> int:
    return min(first_s, second_s) if first_s and second_s else first_s or second_s


def grants(found: Permissions) -> bool:
    """Whether it gives anything at all."""
    return bool(found.capabilities) and Capability.DENY not in found.capabilities


def _begins_at(pattern: str, mount: str) -> bool:
    """Whether the first segments of a pattern with `+` are those of a mount's path, with or without more behind them."""
    segments = mount.rstrip("/").split("/")
    parts = pattern.removesuffix("*").split("/")
    if len(parts) < len(segments):
        return False
    cut = len(segments) - 1 if pattern.endswith("*") and len(parts) == len(segments) else len(segments)
    if cut < len(segments) and not segments[cut].startswith(parts[cut]):
        return False
    return all(part in ("+", segment) for part, segment in zip(parts[:cut], segments[:cut], strict=True))


class Rank(msgspec.Struct, frozen=True, order=True):
    """How closely a pattern fits; the highest decides. In this order: the first wildcard comes late; it has no final glob; it has few
    segment wildcards; it is long; it is late in the alphabet."""

    first_wildcard: int
    is_whole: bool
    wildcards: int                                   # negative: fewer is better
    length: int
    text: str


def rank(path: str) -> Rank:
    """Of a pattern, that is, of a path with a `+` segment or a final `*`."""
    text = path.removesuffix("*")
    first = path.index("+") if has_segment_wildcards(path) else len(text)
    return Rank(first, text == path, -text.split("/").count("+"), len(text), text)


class _Node:
    """A segment of the patterns with `+`: where it can go on, and what ends here."""

    __slots__ = ("any", "below", "prefixes", "whole")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.whole: str | None = None                # the pattern that ends with this segment
        self.prefixes: list[tuple[str, str]] = []    # beginnings of the next segment, and the patterns that end with them

    def next(self, segment: str) -> "_Node":
        if segment != "+":
            return self.below.setdefault(segment, _Node())
        if self.any is None:
            self.any = _Node()
        return self.any


class Matcher:
    """The stanzas of a set of policies, ready to be asked about any path. Never changed once made."""

    def __init__(self, policies: Iterable[Policy], base: "Matcher | None" = None) -> None:
        """`base`: whose stanzas go before. What many tokens share is made once, and each adds its own for a copy of its tables."""
        self.exact: dict[str, Permissions] = dict(base.exact) if base is not None else {}
        self.prefixes: dict[str, Permissions] = dict(base.prefixes) if base is not None else {}
        self.segmented: dict[str, Permissions] = dict(base.segmented) if base is not None else {}
        for policy in policies:
            for rules in policy.paths:
                table, key = self._place_of(rules.path)
                known, new = table.get(key), permissions(policy.name, rules)
                table[key] = new if known is None else merge(known, new)
        self._root: _Node = base._root if base is not None else _Node()
        if base is None or len(base.segmented) < len(self.segmented):
            self._root = _Node()
            for path in self.segmented:
                self._add(path)
        self._lengths = sorted({len(prefix) for prefix in self.prefixes}, reverse=True)

    def _place_of(self, path: str) -> tuple[dict[str, Permissions], str]:
        if has_segment_wildcards(path):
            return self.segmented, path
        return (self.prefixes, path[:-1]) if path.endswith("*") else (self.exact, path)

    def find(self, path: str, *, listing: bool) -> Permissions | None:
        """What holds for a path. A listing of a folder also obeys an exact rule on the path without its final slash."""
        found = self.exact.get(path)
        if found is None and listing:
            found = self.exact.get(path.removesuffix("/"))
        return found if found is not None else self._find_pattern(path)

    def reaches(self, mount: str) -> bool:
        """Whether anything is granted on a mount's path, which ends in "/", or somewhere below it. No ranking: any grant will do."""
        found = self.find(mount, listing=True)
        if found is not None and grants(found):
            return True
        if any(path.startswith(mount) and grants(below) for rules in (self.exact, self.prefixes) for path, below in rules.items()):
            return True
        return any(_begins_at(path, mount) and grants(below) for path, below in self.segmented.items())

    def _find_pattern(self, path: str) -> Permissions | None:
        prefix = next((path[:n] for n in self._lengths if n <= len(path) and path[:n] in self.prefixes), None)
        matches = [pattern for pattern in self._walk(path) if prefix is None or rank(pattern) > rank(prefix + "*")]
        if matches:
            return self.segmented[max(matches, key=rank) if len(matches) > 1 else matches[0]]
        return None if prefix is None else self.prefixes[prefix]

    def _walk(self, path: str) -> Iterator[str]:
        """The patterns with `+` that fit."""
        nodes = [self._root] if self.segmented else []
        for segment in path.split("/"):
            for node in nodes:
                for text, pattern in node.prefixes:
                    if segment.startswith(text):
                        yield pattern
            nodes = [after for node in nodes for after in (node.below.get(segment), node.any) if after is not None]
        for node in nodes:
            if node.whole is not None:
                yield node.whole

    def _add(self, pattern: str) -> None:
        node, segments = self._root, pattern.removesuffix("*").split("/")
        for segment in segments[:-1]:
            node = node.next(segment)
        if pattern.endswith("*"):
            node.prefixes.append((segments[-1], pattern))
        else:
            node.next(segments[-1]).whole = pattern
