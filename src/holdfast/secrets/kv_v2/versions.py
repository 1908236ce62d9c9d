"""The versions of one secret: pure records and their arithmetic. Source: Vault API, secret/kv/kv-v2.

Invariants: (1) the versions held are consecutive and end with the current one; (2) a number is never given twice while the metadata stands;
(3) a destroyed version stays destroyed; (4) nothing here knows a value: each operation says which numbers lost theirs.
Deletion times are points of cluster time, judged when a version is read: nothing has to happen at that moment.
"""
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from holdfast.engine.weak import integer
from holdfast.errors import BadRequest

DEFAULT_MAX_VERSIONS = 10
NEVER_MS = 1 << 62
DISABLED = -1                                            # delete_after_s of the mount: no version of it is deleted by time


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the mount."""

    max_versions: int = 0                                # 0: ten
    cas_required: bool = False
    delete_after_s: int = 0                              # 0: not by time; or DISABLED


class Version(msgspec.Struct, frozen=True, array_like=True):
    created_ms: int
    deletion_ms: int = 0                                 # 0: none; else from then on it counts as deleted
    destroyed: bool = False
    batch: int = 0                                       # number of the one that holds its value; 0: version 1 of the engine wrote it

    @property
    def gone_ms(self) -> int:
        """From this time on it has no value to show."""
        return 0 if self.destroyed else self.deletion_ms or NEVER_MS


Numbered: TypeAlias = tuple[int, Version]


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one secret."""

    created_ms: int
    updated_ms: int
    current_version: int = 0
    oldest_version: int = 0                              # as Vault counts it: 0 until the first was, or could have been, dropped
    versions: tuple[Version, ...] = ()
    max_versions: int = 0                                # 0: the mount's
    cas_required: bool = False
    delete_after_s: int = 0
    custom: Mapping[str, str] = {}

    @property
    def is_of_version_1(self) -> bool:
        """Its value is still where version 1 of the engine wrote it."""
        return bool(self.versions) and not self.versions[0].batch

    @property
    def first(self) -> int:
        """Number of the oldest version held; current_version + 1 if none is."""
        return self.current_version - len(self.versions) + 1

    def at(self, number: int) -> Version | None:
        """The version of this number; 0: the current one."""
        position = (number or self.current_version) - self.first
        return self.versions[position] if 0 <= position < len(self.versions) else None

    def numbered(self) -> Iterable[Numbered]:
        return enumerate(self.versions, self.first)

    def with_new_version(self, config: Config, now_ms: int, batch: int) -> tuple["Metadata", tuple[Numbered, ...]]:
        """With one more version, and those that fall out at the old end."""
        number = self.current_version + 1
        keep = max(self.max_versions, config.max_versions) or DEFAULT_MAX_VERSIONS
        versions = (*self.versions, Version(now_ms, deletion_time(config, self, now_ms), False, batch))
        oldest, dropped = self.oldest_version, max(len(versions) - keep, 0)
        if number - oldest >= keep:
            oldest = number - keep + 1
        gone = tuple(enumerate(versions[:dropped], self.first)) if dropped else ()
        return replace(self, current_version=number, oldest_version=oldest, versions=versions[dropped:], updated_ms=now_ms), gone

    def deleted(self, numbers: Iterable[int], now_ms: int) -> "Metadata":
        """Those of `numbers` that are not gone yet count as deleted from now on."""
        wanted = set(numbers)
        return replace(self, versions=tuple(
            replace(version, deletion_ms=now_ms) if number in wanted and version.gone_ms > now_ms else version
            for number, version in self.numbered()))

    def undeleted(self, numbers: Iterable[int], config: Config, now_ms: int) -> "Metadata":
        """Those of `numbers` that were deleted come back; a time to live starts anew."""
        wanted, deletion_ms = set(numbers), deletion_time(config, self, now_ms)
        return replace(self, versions=tuple(
            replace(version, deletion_ms=deletion_ms) if number in wanted and not version.destroyed else version
            for number, version in self.numbered()))

    def destroyed(self, numbers: Iterable[int]) -> tuple["Metadata", tuple[Numbered, ...]]:
        """Their values are gone for good; and those that had one until now."""
        wanted = set(numbers)
        lost = tuple(each for each in self.numbered() if each[0] in wanted and not each[1].destroyed)
        return replace(self, versions=tuple(replace(version, destroyed=True) if number in wanted else version
                                            for number, version in self.numbered())), lost


def deletion_time(config: Config, meta: Metadata, now_ms: int) -> int:
    """When a version made now is deleted: after the shorter time of the mount's and the secret's; 0: never by time."""
    if config.delete_after_s == DISABLED or not (config.delete_after_s or meta.delete_after_s):
        return 0
    times = [after for after in (config.delete_after_s, meta.delete_after_s) if after > 0]
    return now_ms + 1000 * min(times) if times else 0


def check_cas(cas: msgspec.Raw | None, meta: Metadata | None, config: Config) -> None:
    """Check-and-set: raises BadRequest if the current version is not `cas`, or if one had to be given."""
    if cas is None:
        if config.cas_required or (meta is not None and meta.cas_required):
            raise BadRequest("check-and-set parameter required for this call")
        return
    try:
        wanted = integer(cas)
    except ValueError as error:
        raise BadRequest("error parsing check-and-set parameter") from error
    if wanted != (meta.current_version if meta is not None else 0):
        raise BadRequest("check-and-set parameter did not match the current version")
