"""What reading a configuration finds: errors, which end it, and warnings."""
from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.config.tree import Position
from holdfast.errors import HoldfastError


class Finding(msgspec.Struct, frozen=True):
    """`at`: file, line and column; None where the environment or no file at all is meant."""

    text: str
    at: Position | None = None

    def __str__(self) -> str:
        return f"{self.at}: {self.text}" if self.at is not None else self.text


class ConfigError(HoldfastError):
    """The configuration is not used. Every error that was found is in it, a line each."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(*findings)
        self.findings = tuple(findings)

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


class Findings:
    """Collected while reading."""

    def __init__(self) -> None:
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []

    def error(self, text: str, at: Position | None = None) -> None:
        self.errors.append(Finding(text, at))

    def warn(self, text: str, at: Position | None = None) -> None:
        self.warnings.append(Finding(text, at))

    def check(self) -> None:
        """Raises ConfigError if there was any error."""
        if self.errors:
            raise ConfigError(self.errors)
