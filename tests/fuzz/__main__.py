"""`python -m tests.fuzz --frames N --seed S`: mutated frames over all four protocols."""

from __future__ import annotations

import argparse
import sys

from . import corpus
from .campaign import Figures, gather, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000, help="mutated frames (100,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", action="store_true", help="write what is worth keeping to the corpus"
    )
    arguments = parser.parse_args()
    if arguments.keep:
        for protocol, kept in gather(arguments.frames, arguments.seed).items():
            corpus.write(protocol, kept)
            print(f"{protocol}: {len(kept)} inputs")
        return 0
    figures = run(arguments.frames, arguments.seed, progress=_progress)
    for last, escaped in {e.splitlines()[-1]: e for e in figures.escaped}.items():
        print(f"{escaped}\n{last}", file=sys.stderr)
    memory, objects = figures.growth
    print(f"seed {arguments.seed}")
    print(f"mutated frames {figures.frames:,}, {figures.frames / figures.seconds:,.0f}/s")
    print(f"sessions {figures.sessions:,}")
    print(f"PDUs explained {figures.explained:,}")
    print(f"events {dict(figures.events.most_common())}")
    print(f"exceptions past the session {len(figures.escaped)} (0 allowed)")
    print(f"memory after a tenth {figures.resident[0] / 1024:.1f} MiB, grown by {memory} KiB")
    print(f"objects after a tenth {figures.objects[0]:,}, grown by {objects:,}")
    return 1 if figures.escaped else 0


def _progress(figures: Figures) -> None:
    print(
        f"{figures.frames:,} frames, {figures.frames / figures.seconds:,.0f}/s, "
        f"{len(figures.escaped)} escaped, {figures.resident[-1] / 1024:.1f} MiB",
        file=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main())
