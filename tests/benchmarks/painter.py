"""What the sandbox's pictures cost in CPU: `python -m tests.benchmarks.painter`."""

from comet_magic.sandbox import painter
from tests.benchmarks.harness import Aim, Bench, Result, Scale, table, timed

BOAT = "A paper boat floating on calm water at sunrise."
USUAL = "paint 1024x1024, jpeg"
WORK: dict[str, tuple[str, int, int, str]] = {
    USUAL: (BOAT, 1024, 1024, "jpeg"),
    "paint 1024x1024, png": (BOAT, 1024, 1024, "png"),
    "paint 3840x2160, jpeg": (BOAT, 3840, 2160, "jpeg"),
    "paint no known word, jpeg": ("qwertz", 1024, 1024, "jpeg"),
}
AIMS = (Aim(USUAL, "CPU ms", 150),)


def run(bench: Bench) -> list[Result]:
    """Each picture as often as there are rounds; the first painting, which imports, is not counted."""
    return measured(bench.scale.rounds)


def measured(rounds: int) -> list[Result]:
    """CPU of painting and encoding, and of three previews."""
    results = []
    for work, (prompt, width, height, kind) in WORK.items():

        def made(prompt: str = prompt, width: int = width, height: int = height, kind: str = kind) -> bytes:
            return painter.encode(painter.paint(prompt, width=width, height=height), kind)

        results.append(timed(work, made, rounds))
    image = painter.paint(BOAT, width=1024, height=1024)
    results.append(timed("three previews of 1024x1024", lambda: painter.partials(image, 3), rounds))
    return results


if __name__ == "__main__":
    print(table(measured(Scale().rounds)))
