"""The text of a policy, HCL or its JSON form, read into records.

Invariants: (1) every text gives a Policy or a BadRequest that names line and stanza, nothing else; (2) what is not understood is refused,
so that a misspelt word never makes a policy wider or narrower than its author meant. What Vault Enterprise alone obeys (control groups, MFA
methods, event types) is accepted and has no effect, as in Vault's Community Edition. Source: Vault, "Policies".
"""
from collections.abc import Iterator, Mapping

from holdfast.config.hcl import Array, HclError, Literal, Object, Value
from holdfast.config.hcl import parse as parse_hcl
from holdfast.core.policy import Capability, PathRules, Policy
from holdfast.core.policy_template import is_template
from holdfast.engine import seconds
from holdfast.errors import BadRequest

IN_POLICY = frozenset({"name", "path"})
WITHOUT_EFFECT = frozenset({"comment", "control_group", "mfa_methods", "subscribe_event_types"})
IN_STANZA = WITHOUT_EFFECT | {"allowed_parameters", "capabilities", "denied_parameters", "max_wrapping_ttl", "min_wrapping_ttl", "policy",
                              "required_parameters"}
READ = frozenset({Capability.READ, Capability.LIST})
WRITE = READ | {Capability.CREATE, Capability.UPDATE, Capability.DELETE}
OLD_WORDS: Mapping[str, frozenset[Capability]] = {
    "deny": frozenset({Capability.DENY}), "read": READ, "write": WRITE, "sudo": WRITE | {Capability.SUDO}}
"""What `policy = "…"` in a stanza meant before there were capabilities; it still does."""


class _Refused(Exception):
    """Ends the reading of a text; `parse` puts the beginning before it."""


def parse(text: str) -> Policy:
    """What a text says; `name` is left empty. Raises BadRequest that begins with "failed to parse policy: "."""
    try:
        tree = parse_hcl(text)
        _check_keys(tree, IN_POLICY)
        paths = tuple(stanza for value in tree.under("path") for stanza in _stanzas(value))
    except (HclError, _Refused) as error:
        raise BadRequest(f"failed to parse policy: {error}") from error
    return Policy(paths=paths, templated=any("{{" in rules.path for rules in paths))


def _check_keys(tree: Object, known: frozenset[str]) -> None:
    for item in tree.items:
        if item.name not in known:
            raise _Refused(f'invalid key "{item.name[:80]}" on line {item.at.line}')


def _stanzas(labelled: Value) -> Iterator[PathRules]:
    if isinstance(labelled, Array) and not labelled.values:
        return                                       # JSON's way to say that there is none
    if not isinstance(labelled, Object):
        raise _Refused(f"path on line {labelled.at.line}: a block with a path in quotes is expected")
    for item in labelled.items:
        body = item.inner()
        if not isinstance(body, Object):
            raise _Refused(f'path on line {item.at.line}: "{item.name[:80]}" stands where a path with a block is expected')
        try:
            yield _stanza(item.name, body)
        except _Refused as error:
            raise _Refused(f'path "{item.name[:200]}": {error}') from error


def _stanza(path: str, body: Object) -> PathRules:
    _check_path(path, body)
    _check_keys(body, IN_STANZA)
    least, most = (_time(body, name) for name in ("min_wrapping_ttl", "max_wrapping_ttl"))
    if least and most and most < least:
        raise _Refused(f"max_wrapping_ttl cannot be less than min_wrapping_ttl (on line {body.at.line})")
    rules = PathRules(
        path=path.removeprefix("/"), capabilities=_capabilities(body), allowed=_parameters(body, "allowed_parameters"),
        denied=_parameters(body, "denied_parameters"), min_wrapping_ttl_s=least, max_wrapping_ttl_s=most,
        required=tuple(dict.fromkeys(text.lower() for _, text in _strings(body, "required_parameters"))))
    # Nothing can be added to a denial, nor taken from it.
    return PathRules(path=rules.path, capabilities=rules.capabilities) if Capability.DENY in rules.capabilities else rules


def _check_path(path: str, body: Object) -> None:
    try:
        is_template(path)
    except ValueError as error:
        raise _Refused(f"failed to validate policy templating: {error} (on line {body.at.line})") from error
    if "+*" in path:
        raise _Refused(f"invalid use of wildcards ('+*' is forbidden) on line {body.at.line}")


def _capabilities(body: Object) -> frozenset[Capability]:
    found: set[Capability] = set()
    for value in body.under("policy"):
        word = value.value if isinstance(value, Literal) else None
        if word == "":
            continue
        if not isinstance(word, str) or word not in OLD_WORDS:
            raise _Refused(f'invalid policy "{str(word)[:80]}" on line {value.at.line}')
        found |= OLD_WORDS[word]
    for line, text in _strings(body, "capabilities"):
        try:
            found.add(Capability(text))
        except ValueError as error:
            raise _Refused(f'invalid capability "{text[:80]}" on line {line}') from error
    return frozenset({Capability.DENY}) if Capability.DENY in found else frozenset(found)


def _strings(body: Object, name: str) -> Iterator[tuple[int, str]]:
    """Each with its line."""
    for value in body.under(name):
        for each in _list(value, name):
            if not isinstance(each, Literal) or not isinstance(each.value, str):
                raise _Refused(f"{name} on line {each.at.line}: a list of strings is expected")
            yield each.at.line, each.value


def _list(value: Value, name: str) -> tuple[Value, ...]:
    if not isinstance(value, Array):
        raise _Refused(f"{name} on line {value.at.line}: a list is expected")
    return value.values


def _parameters(body: Object, name: str) -> Mapping[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for value in body.under(name):
        if not isinstance(value, Object):
            raise _Refused(f"{name} on line {value.at.line}: a block of names with lists of values is expected")
        for item in value.items:
            values = tuple(_plain(each) for each in _list(item.inner(), f'{name} "{item.name[:80]}"'))
            found[item.name.lower()] = values
    return found


def _plain(value: Value) -> object:
    match value:
        case Literal():
            return value.value
        case Array():
            return [_plain(each) for each in value.values]
        case Object():
            return {item.name: _plain(item.inner()) for item in value.items}


def _time(body: Object, name: str) -> int:
    length_s = 0
    for value in body.under(name):
        if not isinstance(value, Literal) or isinstance(value.value, bool):
            raise _Refused(f"error parsing {name} on line {value.at.line}: a duration such as 60 or \"1m\" is expected")
        try:
            length_s = seconds(value.value, name)
        except BadRequest as error:
            raise _Refused(f"error parsing {error.messages[0]} (on line {value.at.line})") from error
    return length_s
