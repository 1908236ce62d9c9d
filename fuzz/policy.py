"""Fuzz target: texts of policies, and what is asked of those that can be read. `python -m fuzz.policy` with libFuzzer's options.

Whatever the text: a Policy or a BadRequest; and a Policy answers any path, survives being stored, and gives nothing where it denies.
"""
import sys

import atheris

with atheris.instrument_imports():
    import msgspec

    from holdfast.core.acl_match import Matcher
    from holdfast.core.policy import Capability, Policy
    from holdfast.core.policy_parse import parse
    from holdfast.core.policy_template import Subject, rendered
    from holdfast.errors import BadRequest

SUBJECT = Subject(id="e-1", name="ann", metadata={"team": "blue"})


def check(data: bytes) -> None:
    """One input: a text, a NUL byte, a path."""
    text, _, path = data.decode(errors="replace").partition("\0")
    policy = parsed(text)
    if isinstance(policy, str):
        assert policy.startswith("failed to parse policy: ")
        return
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy
    matcher = Matcher([rendered(policy, SUBJECT)])
    for asked in (path, *(rules.path for rules in policy.paths[:8])):
        found = matcher.find(asked, listing=False)
        if found is not None and Capability.DENY in found.capabilities:
            assert found.capabilities == {Capability.DENY}
            assert not found.allowed
    matcher.reaches(path.strip("/") + "/")


def parsed(text: str) -> Policy | str:
    """The policy, or the refusal."""
    try:
        return parse(text)
    except BadRequest as refused:
        return refused.messages[0]


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
