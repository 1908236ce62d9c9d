"""Times as Vault's API writes them."""
from datetime import UTC, datetime


def rfc3339(time_ms: int) -> str:
    """RFC 3339 in UTC, as Go prints it: the fraction without zeros at its end, and none if it is zero."""
    seconds, millis = divmod(time_ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{millis:03d}".rstrip("0") + "Z" if millis else text + "Z"
