"""Checks of tests, which go on after one that fails."""

FAILURES = []


def check(what, got, expected):
    """Takes note if `got` is not what was expected."""
    if got != expected:
        FAILURES.append(f"{what}: got {str(got)[:400]!r}, expected {str(expected)[:400]!r}")


def finish():
    """Tells what failed; the exit code."""
    for failure in FAILURES:
        print(failure)
    print(f"{len(FAILURES)} failures")
    return 1 if FAILURES else 0
