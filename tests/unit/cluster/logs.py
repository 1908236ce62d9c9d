"""A log whose events a test can look at."""
from holdfast.telemetry.log import Event, Format, Level, Logger, Logs


class Heard:
    """A listener of a log that goes nowhere else."""

    level = Level.TRACE

    def __init__(self) -> None:
        self.events: list[Event] = []
        logs = Logs(level=Level.TRACE, format=Format.STANDARD, sinks=())
        logs.add_listener(self)
        self.log: Logger = logs.logger("cluster")

    def hear(self, event: Event) -> None:
        self.events.append(event)

    def end(self) -> None:
        """Nothing is kept open."""

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def whys(self, name: str) -> list[object]:
        return [event.fields.get("why") for event in self.named(name)]
