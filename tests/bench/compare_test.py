"""compare_test.py WAFER SCRATCH: tests bench/compare with two small programs."""

import json
import pathlib
import subprocess
import sys
import unittest
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
sys.dont_write_bytecode = True

from suite.plot import draw  # noqa: E402
from suite.programs import Builder, BuildError, read_coremark, read_seconds  # noqa: E402
from suite.report import Results, remarks, table  # noqa: E402

WAFER, SCRATCH = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def sample_results() -> Results:
    """Two programs; `fast` is 2 and 8 times slower than `base`, `partial` has but one."""
    results = Results("Title", "s", ["base", "fast", "partial"], "base", {"a": "x", "b": "y"})
    for row, engine, value in (("a", "base", 1.0), ("a", "fast", 3.0), ("a", "fast", 2.0),
                               ("b", "base", 0.5), ("b", "fast", 4.0), ("a", "partial", 1.5)):
        results.add(row, engine, value)
    return results


class Arithmetic(unittest.TestCase):
    """Results, tables and plots of known numbers."""

    def test_means(self):
        results = sample_results()
        self.assertEqual(results.ratio("a", "fast"), 2.0)
        self.assertAlmostEqual(results.mean("fast"), 4.0)
        self.assertAlmostEqual(results.mean("partial", "x"), 1.5)
        self.assertIsNone(results.mean("partial"))

    def test_failures_leave_no_value(self):
        results = sample_results()
        results.fail("a", "fast", "crashed")
        self.assertIsNone(results.ratio("a", "fast"))
        self.assertIsNone(results.mean("fast"))

    def test_remarks(self):
        notes = remarks(sample_results(), "fast", ["partial"], 4.0)
        self.assertEqual(notes, ["a: 2.00 (partial has 1.50)", "b: 8.00 (over 4.00)"])

    def test_table_and_plot(self):
        results = sample_results()
        self.assertIn("8.00", table(results))
        tags = [e.tag.rpartition("}")[2] for e in xml.fromstring(draw(results)).iter()]
        # Two engines in the legend and three ratios; one engine has a mean over all rows.
        self.assertEqual(tags.count("circle"), 5)
        self.assertEqual(tags.count("rect"), 2)

    def test_readings(self):
        reading = read_seconds("nbody 3 00ff\n", "warning\nseconds 1.25\n")
        self.assertEqual((reading.seconds, reading.result), (1.25, "nbody 3 00ff"))
        reading = read_coremark("Total time (secs): 2.5\nTotal ticks : 9\nseedcrc  : 0xe9f5\n", "")
        self.assertEqual((reading.seconds, reading.result), (2.5, "seedcrc  : 0xe9f5"))


class Runs(unittest.TestCase):
    """The command as a whole."""

    def setUp(self):
        try:
            able = Builder(SCRATCH, "clang-22").has_wasi()
        except BuildError:
            able = False
        if not able:
            self.skipTest("clang-22 cannot compile for WASI")

    def compare(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [ROOT / "bench" / "compare", *arguments, "--quick", "--programs=^(nbody|fannkuch)$",
             f"--engine=wafer={WAFER}", f"--build={SCRATCH}"],
            capture_output=True, text=True, timeout=250, check=False)

    def test_execution(self):
        done = self.compare("execution", "--engines=^wafer-(auto|baseline)$")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        data = json.loads((SCRATCH / "results" / "execution.json").read_text())
        self.assertEqual(set(data["values"]), {"nbody", "fannkuch"})
        for times in data["values"].values():
            self.assertEqual(set(times), {"native", "native-cpu", "wafer-auto", "wafer-baseline"})
            self.assertGreater(min(times.values()), 0)
        xml.parse(SCRATCH / "results" / "execution.svg")

    def test_startup(self):
        done = self.compare("startup", "--engines=^wafer-baseline$")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        data = json.loads((SCRATCH / "results" / "startup.json").read_text())
        self.assertEqual(set(data["values"]), {"hello", "interpreter"})

    def test_wrong_output_fails(self):
        liar = SCRATCH / "liar"
        liar.parent.mkdir(parents=True, exist_ok=True)
        liar.write_text("#!/bin/sh\necho 1.0 nbody\n")
        liar.chmod(0o755)
        done = self.compare("interpreters", f"--engine=wasm3={liar}",
                            "--engines=^(wafer-interp|wasm3)$")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("nbody: wasm3: it printed '1.0 nbody' instead of", done.stdout)

    def test_missing_engine_fails(self):
        done = self.compare("execution", "--engine=wasmtime=/nonexistent")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nonexistent", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
