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


def short_duration(length_s: int) -> str:
    """As Go prints it, without the parts that are zero: "1h", "25h30m", "1m5s"."""
    text = go_duration(length_s)
    if text.endswith("m0s"):
        text = text[:-2]
    return text.replace("h0m", "h")


def capped(what: str, length_s: int, max_s: int) -> str:
    """The warning that a length of time, `what`, was too long, in Vault's words."""
    return (f'{what} of "{short_duration(length_s)}" exceeded the effective max_ttl of "{short_duration(max_s)}"; '
            f"{what} value is capped accordingly")
