"""What a process tells of itself: its log, its metrics."""
from holdfast.telemetry.log import Event, FieldValue, Format, Level, Logger, Logs, level_named

__all__ = ["Event", "FieldValue", "Format", "Level", "Logger", "Logs", "level_named"]
