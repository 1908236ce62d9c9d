"""How deep, how long and how broad a JSON body may be: Vault's `max_json_*` of a listener.

A body that is too small to break a limit is not walked: the limits are far above what usual bodies hold.
"""
import msgspec

from holdfast._native import check_json
from holdfast.errors import BadRequest


class JsonLimits(msgspec.Struct, frozen=True, kw_only=True):
    """0 or less: no limit."""

    depth: int
    string_bytes: int                                # escapes undone, as UTF-8
    entries: int                                     # of one object
    elements: int                                    # of one array

    def check(self, body: bytes) -> None:
        """Raises BadRequest naming the limit. A body that is no object and no array passes: whoever decodes it refuses it."""
        if not self._may_break(body) or body.lstrip(b" \t\r\n")[:1] not in (b"{", b"["):
            return
        limits = [max(0, limit) for limit in (self.depth, self.string_bytes, self.entries, self.elements)]
        broken = check_json(body, *limits)
        if broken is not None:
            sentence, setting, number = _BROKEN[broken]
            raise BadRequest(f"{sentence}: {setting} is {limits[number]}")

    def _may_break(self, body: bytes) -> bool:
        size = len(body)
        if size <= self.depth and size <= self.string_bytes and size <= self.entries and size <= self.elements:
            return False
        members = body.count(b",") + 1
        return (size > self.string_bytes > 0 or members > self.entries > 0 or members > self.elements > 0
                or body.count(b"{") + body.count(b"[") > self.depth > 0)


_BROKEN = {
    "depth": ("JSON input exceeds allowed nesting depth", "max_json_depth", 0),
    "string": ("JSON string value exceeds allowed length", "max_json_string_value_length", 1),
    "entries": ("JSON object exceeds allowed entry count", "max_json_object_entry_count", 2),
    "elements": ("JSON array exceeds allowed element count", "max_json_array_element_count", 3),
}
