"""wasmer_sdk_run.py MODULE ARGS...: runs a WASI command in Wasmer, through its Python package."""

import asyncio
import pathlib
import sys
import tempfile

from wasmer_sdk import Wasmer


async def run() -> int:
    """Runs the command to its end and passes on what it printed."""
    with tempfile.TemporaryDirectory() as cache:
        async with Wasmer(cache_root=cache) as wasmer:
            module = pathlib.Path(sys.argv[1]).read_bytes()
            package = await wasmer.packages.load(module)
            async with await wasmer.sandboxes.create(packages=[package]) as sandbox:
                output = await sandbox.command(package, sys.argv[2:]).run(check=False)
    sys.stdout.write(output.stdout.text())
    sys.stderr.write(output.stderr.text())
    return output.exit_code or 0


sys.exit(asyncio.run(run()))
