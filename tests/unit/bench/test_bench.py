"""What the benchmarks are told and how they show it; that they run is shown by `make bench QUICK=1`."""
import asyncio
from mmap import mmap
from pathlib import Path

import pytest
from bench import __main__ as bench_main
from bench.figures import Failed, Figures, Result, Skipped, middle, percentile
from bench.lines import Line, at_times, fill, rendered
from bench.machine import anonymous_kib, append_us, describe
from bench.world import World
from bench.wrk import write_requests

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def figures(requests_s: float, cpu_us: float | None = None) -> Figures:
    return Figures(requests=10, requests_s=requests_s, p50_ms=1, p99_ms=2, cpu_us=cpu_us)


def test_the_middle_of_runs_is_the_median_of_each_figure() -> None:
    found = middle([figures(1, 30), figures(100, 10), figures(3, 20)])
    assert (found.requests, found.requests_s, found.cpu_us) == (30, 3, 20)
    assert middle([figures(1)]).cpu_us is None


@pytest.mark.parametrize(("percent", "value"), [(50, 51), (99, 100), (100, 100), (0, 1)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile([float(each) for each in range(100, 0, -1)], percent) == value


def test_a_result_shows_figures_ratios_and_what_they_should_reach() -> None:
    result = Result(rows=[("holdfast", figures(12345, 20.5)), ("disk", "slow")], ratios=[("a / b", 0.5, "0.55"), ("c / d", 1.0, None)])
    ours, disk, first, second = result.lines()
    assert "12,345/s" in ours
    assert "20.5 µs CPU" in ours
    assert disk.split() == ["disk", "slow"]
    assert first == "  ratio a / b: 0.50   (to reach: 0.55)"
    assert second == "  ratio c / d: 1.00"


def test_requests_are_lines_of_fields(tmp_path: Path) -> None:
    path = write_requests(tmp_path / "requests", [("GET", "/v1/a", "t", ""), ("POST", "/v1/b", "", '{"a": 1}')])
    assert path.read_text() == 'GET\t/v1/a\tt\t\nPOST\t/v1/b\t\t{"a": 1}\n'
    with pytest.raises(AssertionError):
        write_requests(tmp_path / "bad", [("GET", "/v1/a\tb", "", "")])


def test_the_machine_is_named_with_its_commit_and_disk(tmp_path: Path) -> None:
    commit, machine, disk = describe(tmp_path)
    assert commit.split()[0] == "commit"
    assert "cores of" in machine
    assert "fdatasync" in disk
    assert append_us(tmp_path, count=3) > 0
    assert list(tmp_path.iterdir()) == []


def test_anonymous_memory_is_what_a_process_holds_apart_from_files() -> None:
    # A map of its own: what the heap gives may be memory that this process has held for long.
    before = anonymous_kib(_own_pid())
    with mmap(-1, 8 << 20) as held:
        held.write(b"x" * (8 << 20))
        assert anonymous_kib(_own_pid()) - before >= 8000


def _own_pid() -> int:
    return int(Path("/proc/self").readlink().name)


class Server(asyncio.Protocol):
    """Answers each request with `status`, its answer in two pieces."""

    def __init__(self, status: int = 200) -> None:
        self._status = status

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.WriteTransport)
        answer = ANSWER.replace(b"200", str(self._status).encode())
        for _ in range(data.count(b" HTTP/1.1\r\n")):
            self._transport.write(answer[:20])
            self._transport.write(answer[20:])


def test_a_store_is_filled_by_every_request_once(tmp_path: Path) -> None:
    async def main() -> list[bytes]:
        server = await asyncio.get_running_loop().create_unix_server(Server, str(tmp_path / "s"))
        try:
            return await fill(tmp_path / "s", [("POST", f"/v1/{number}", "t", "{}") for number in range(500)], keep=True)
        finally:
            server.close()

    assert asyncio.run(main()) == [b"{}"] * 500


def test_filling_a_store_fails_when_a_request_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_unix_server(lambda: Server(403), str(tmp_path / "s"))
        try:
            await fill(tmp_path / "s", [("POST", "/v1/a", "t", "{}")])
        finally:
            server.close()

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(main())
    assert raised.group_contains(Failed, match="403")


def test_an_open_loop_asks_as_often_as_it_says(tmp_path: Path) -> None:
    async def main() -> list[float]:
        server = await asyncio.get_running_loop().create_unix_server(Server, str(tmp_path / "s"))
        _, line = await asyncio.get_running_loop().create_unix_connection(Line, str(tmp_path / "s"))
        try:
            request = rendered(("GET", "/v1/a", "t", ""))
            return await at_times([line], iter([request] * 50), rate_s=1000, seconds=0.05)
        finally:
            line.close()
            server.close()

    took = asyncio.run(main())
    assert len(took) == 50
    assert min(took) > 0


def test_nothing_run_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def cannot(world: World) -> Result:
        """Never."""
        raise Skipped("no such tool")

    def works(world: World) -> Result:
        """Always."""
        return Result(rows=[])

    def fails(world: World) -> Result:
        """Breaks."""
        raise Failed("all is lost")

    run = bench_main._run
    assert run([cannot], tmp_path, quick=True, peer=None) == 1
    assert "skipped: no such tool" in capsys.readouterr().out
    assert run([cannot, works], tmp_path, quick=True, peer=None) == 0
    assert run([works, fails], tmp_path, quick=True, peer=None) == 1
    assert "failed: all is lost" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
