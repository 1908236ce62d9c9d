"""`holdfast` with other bounds: `python -m tests.lowered '{"KEY_ENCRYPTIONS_CEILING": 100}' server …`. Bounds that take a data set of
gigabytes to reach are reached by this; the workers of a node keep their own."""
import json
import sys

from holdfast import limits


def main() -> None:
    for name, value in json.loads(sys.argv.pop(1)).items():
        if not hasattr(limits, name):
            raise SystemExit(f"no bound {name}")
        setattr(limits, name, value)
    # After the bounds: modules take them by value.
    from holdfast.cli.main import entry
    entry()


if __name__ == "__main__":
    main()
