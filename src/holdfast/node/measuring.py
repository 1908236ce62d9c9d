"""What a process counts of its requests. Source of the names: Vault, "Telemetry"."""
import os
import time

from holdfast.telemetry.metrics import Metrics


def new_metrics() -> Metrics:
    """Of this process."""
    return Metrics(f"{os.getpid()}-{time.time_ns()}")


class RequestMetrics:
    """Kept by whoever serves requests; counting is an addition."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.handled = metrics.summary("core.handle_request").observe_ns
        self.now_ns = time.perf_counter_ns
