"""`make fuzz HOURS=…`: every target for so long, one after the other; what one of them finds ends the run, with the input that did it."""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = ("http_head_body", "json_fields", "hcl", "policy", "cluster_frames", "ha_messages")


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--hours", type=float, default=0.25, help="on each target")
    parser.add_argument("--only", choices=TARGETS)
    options = parser.parse_args()
    for target in (options.only,) if options.only else TARGETS:
        with tempfile.TemporaryDirectory(prefix=f"holdfast-fuzz-{target}-") as folder:
            corpus = Path(folder) / "corpus"
            corpus.mkdir()
            print(f"== {target}: {options.hours} h", flush=True)
            done = subprocess.run([sys.executable, "-m", f"fuzz.{target}", str(corpus), f"-max_total_time={int(options.hours * 3600)}",
                                   f"-artifact_prefix={target}-", "-max_len=4096", "-print_final_stats=1"], check=False)
            if done.returncode:
                print(f"{target} failed: the input is in {target}-crash-* here", file=sys.stderr)
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
