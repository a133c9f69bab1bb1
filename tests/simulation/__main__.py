"""`python -m tests.simulation --seed S` tells one story; `--seeds N --minutes M` plays many.

It stops at the first promise that is broken, with the command that replays it.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.gate import Fault, Mode
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.story import WHERE, Broken, Story


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Play the simulation.")
    parser.add_argument("--seed", type=int, help="tell this story step by step")
    parser.add_argument("--where", choices=WHERE, help="what certificates are kept in; of many seeds else all in turn")
    parser.add_argument("--scenario", choices=SCENARIOS, help="tell this scenario, with --fault")
    parser.add_argument("--fault", default="fail:1000:0:", help="MODE:AT:VARIANT:KIND")
    parser.add_argument(
        "--from",
        dest="first",
        type=int,
        default=int(time.time()) * 1000,
        help="the first seed of many; else from the time",
    )
    parser.add_argument("--seeds", type=int, default=10_000_000, help="how many seeds at most")
    parser.add_argument("--minutes", type=float, default=10.0, help="for how long at most")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """0 where every promise was kept."""
    arguments = _arguments()
    begin = time.monotonic()
    wheres = [arguments.where] if arguments.where else list(WHERE)
    runs, seed = 0, arguments.first
    try:
        if arguments.seed is not None:
            runs = Story(arguments.seed, _say, wheres[0]).play()
            seed += 1
        elif arguments.scenario is not None:
            mode, at, which, kind = arguments.fault.split(":")
            fault = Fault(int(at), Mode(mode), int(which), kind)
            runs = Story(tell=_say, where=wheres[0]).play_scenario(arguments.scenario, fault)
        else:
            while seed < arguments.first + arguments.seeds and time.monotonic() < begin + 60 * arguments.minutes:
                runs += Story(seed, where=wheres[seed % len(wheres)]).play()
                seed += 1
    except Broken as error:
        _say(str(error))
        return 1
    each = 1000 * time.process_time() / runs
    seeds = f"{seed - arguments.first} seeds from {arguments.first}"
    _say(f"{runs} runs of {seeds}, every promise kept; {each:.1f} ms of CPU a run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
