"""Times as Vault's API writes them."""
from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=256)
def rfc3339(time_ms: int) -> str:
    """RFC 3339 in UTC, as Go prints it: the fraction without zeros at its end, and none if it is zero."""
    seconds, millis = divmod(time_ms, 1000)
    text = _to_the_second(seconds)
    return f"{text}.{millis:03d}".rstrip("0") + "Z" if millis else text + "Z"


@lru_cache(maxsize=256)
def _to_the_second(seconds: int) -> str:
    """Most times that are shown are of this second, or of a few others; those of one group of writes, of this millisecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def go_duration(length_s: int) -> str:
    """A length of time as Go prints it: "0s", "1m30s", "25h0m0s", "-1s"."""
    minutes, rest = divmod(abs(length_s), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
    return "-" + text if length_s < 0 else text
