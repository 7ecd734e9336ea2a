// node node_wasi.mjs MODULE ARGS...: runs a WASI command in V8.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const wasi = new WASI({ version: 'preview1', args: process.argv.slice(2), returnOnExit: true });
const { wasi_snapshot_preview1: host } = wasi.getImportObject();
// Node 20 crashes when its collector runs inside a host function that Wasm calls directly, as
// it does for programs with large memories; a function of JavaScript in between avoids that.
const imports = Object.fromEntries(
  Object.entries(host).map(([name, call]) => [name, (...args) => call(...args)])
);
const module = new WebAssembly.Module(readFileSync(process.argv[2]));
const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: imports });
process.exitCode = wasi.start(instance);
