"""How long things live, and what is said of what was cut. The words are Vault's: clients show them."""
import pytest

from holdfast.core.ttl import Life, Limits, life
from holdfast.engine.time import short_duration
from holdfast.errors import BadRequest

LIMITS = Limits(default_s=600, max_s=3600)


def test_what_goes_before_what() -> None:
    assert life(LIMITS) == Life(ttl_ms=600_000)
    assert life(LIMITS, own_s=60) == Life(ttl_ms=60_000)
    assert life(LIMITS, own_s=60, asked_s=90) == Life(ttl_ms=90_000)
    assert life(LIMITS, own_s=60, asked_s=90, period_s=120) == Life(ttl_ms=120_000)


def test_a_maximum_counts_from_the_beginning_a_period_from_now() -> None:
    assert life(LIMITS, asked_s=600, age_ms=3500_000).ttl_s == 100
    assert life(LIMITS, period_s=600, age_ms=1_000_000_000).ttl_s == 600
    assert life(LIMITS, period_s=600, explicit_max_s=1_000, age_ms=900_000).ttl_s == 100
    with pytest.raises(BadRequest, match="past the max TTL, cannot renew"):
        life(LIMITS, age_ms=3600_000)
    with pytest.raises(BadRequest, match="past the max TTL, cannot renew"):
        life(LIMITS, period_s=60, explicit_max_s=1_000, age_ms=1_000_000)


def test_what_is_said() -> None:
    assert life(LIMITS, asked_s=7200).warnings == (
        'TTL of "2h" exceeded the effective max_ttl of "1h"; TTL value is capped accordingly',)
    assert life(LIMITS, period_s=7200).warnings == (
        'period of "2h" exceeded the effective max_ttl of "1h"; period value is capped accordingly',)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (5, "5s"), (60, "1m"), (65, "1m5s"), (3600, "1h"), (3605, "1h5s"),
                                               (5400, "1h30m"), (768 * 3600, "768h"), (36_000, "10h")])
def test_lengths_as_vault_shortens_them(seconds: int, text: str) -> None:
    assert short_duration(seconds) == text
