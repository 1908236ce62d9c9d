"""Fuzz target: HCL and its JSON form, and whole configurations. `python -m fuzz.hcl` with libFuzzer's options.

Whatever the bytes: a tree or an HclError with its place; a tree is the same after it was printed and parsed again; and as a configuration
it gives settings or a ConfigError.
"""
import sys

import atheris

with atheris.instrument_imports():
    from tests.hcl_places import nowhere

    from holdfast.config.finding import ConfigError, Findings
    from holdfast.config.hcl import HclError, Object, parse, print_hcl
    from holdfast.config.merge import merge
    from holdfast.config.read import settings_of


def check(data: bytes) -> None:
    """One input: a text, as a file holds it."""
    tree = parsed(data)
    if isinstance(tree, HclError):
        assert min(tree.at.line, tree.at.column) >= 1
        return
    again = parsed(print_hcl(tree).encode())
    if isinstance(again, Object):
        assert nowhere(again) == nowhere(tree)
    else:
        assert "longer than" in again.problem, again
    configured(tree)


def parsed(text: bytes) -> Object | HclError:
    try:
        return parse(text, source="fuzz")
    except HclError as error:
        return error


def configured(tree: Object) -> str:
    """What the settings are, or why there are none."""
    findings = Findings()
    try:
        settings = settings_of(merge([tree], findings), {}, findings)
        findings.check()
        return repr(settings)
    except ConfigError as error:
        return str(error)


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
