"""Compares `wafer wit` with the specification's WIT tests.

Each input is accepted or refused as the tests say, and what is accepted resolves to the same
tree. Numbers of interfaces and types are an implementation's own, so trees are compared after
every number has been replaced by what it stands for.

usage: ui_test.py WAFER FOLDER
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile


# Where an error's place differs from the tests', and why.
OTHER_PLACE = {
    "use-and-include-world": "the `use` of a world is refused first",
    "package-nesting-too-deep.wit": "the first nested level is refused already",
}


def resolved(tree):
    """The tree without numbers."""
    types, interfaces = tree["types"], tree["interfaces"]

    def package(i):
        return tree["packages"][i]["name"]

    def world(i):
        w = tree["worlds"][i]
        return package(w["package"]) + "/" + w["name"]

    def interface(i):
        """A named interface is told by its name, an inline one by its contents."""
        x = interfaces[i]
        return package(x["package"]) + "/" + x["name"] if x["name"] else contents(x, i)

    def owner(t):
        o = t["owner"]
        if o is None:
            return None
        if "world" in o:
            return world(o["world"])
        x = interfaces[o["interface"]]
        return package(x["package"]) + "/" + (x["name"] or "inline")

    def type_ref(t):
        if not isinstance(t, int):
            return t
        x = types[t]
        if x["name"]:
            return {"name": x["name"], "owner": owner(x)}
        return kind(x["kind"])

    def kind(k):
        if isinstance(k, str):
            return k
        (name, value), = k.items()
        if name == "handle":
            (how, target), = value.items()
            return {how: type_ref(target)}
        if name in ("record", "variant"):
            key, = value.keys()
            return {name: [{**m, "type": type_ref(m["type"])} for m in value[key]]}
        if name == "tuple":
            return {name: [type_ref(t) for t in value["types"]]}
        if name == "result":
            return {name: [type_ref(value["ok"]), type_ref(value["err"])]}
        if name == "fixed-length-list":
            return {name: [type_ref(value[0]), value[1]]}
        if name == "map":
            return {name: [type_ref(t) for t in value]}
        if name in ("flags", "enum"):
            return {name: value}
        return {name: type_ref(value)}

    def definition(i):
        t = types[i]
        return {**t, "kind": kind(t["kind"]), "owner": owner(t)}

    def function(f):
        out = {**f, "params": [{**p, "type": type_ref(p["type"])} for p in f["params"]]}
        if "result" in f:
            out["result"] = type_ref(f["result"])
        if isinstance(f["kind"], dict):
            (name, resource), = f["kind"].items()
            out["kind"] = {name: type_ref(resource)}
        return out

    def contents(x, i):
        return {**x, "package": package(x["package"]),
                "types": {n: definition(t) for n, t in x["types"].items()},
                "functions": {n: function(f) for n, f in x["functions"].items()}}

    def items(ports):
        out = {}
        for key, item in ports.items():
            (sort, value), = item.items()
            if sort == "interface":
                if re.fullmatch(r"interface-\d+", key):
                    key = "interface " + interface(value["id"])
                out[key] = {**value, "id": interface(value["id"])}
            elif sort == "function":
                out[key] = function(value)
            else:
                out[key] = definition(value)
        return out

    out = {}
    for i, x in enumerate(interfaces):
        if x["name"]:
            out["interface " + interface(i)] = contents(x, i)
    for i, w in enumerate(tree["worlds"]):
        out["world " + world(i)] = {**w, "package": package(w["package"]),
                                    "imports": items(w["imports"]), "exports": items(w["exports"])}
    for p in tree["packages"]:
        out["package " + p["name"]] = {**p, "interfaces": sorted(p["interfaces"]),
                                       "worlds": sorted(p["worlds"])}
    return out


def differences(want, got, path=""):
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted(want.keys() | got.keys()):
            if key not in want or key not in got:
                yield f"{path}/{key}: only {'expected' if key in want else 'found'}"
            else:
                yield from differences(want[key], got[key], f"{path}/{key}")
    elif want != got:
        yield f"{path}: expected {json.dumps(want)}, found {json.dumps(got)}"


def main():
    wafer, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    failures, skipped, count = [], [], 0
    scratch = tempfile.mkdtemp()

    def got_main(text):
        """The name of the package whose text this is, as JSON."""
        name = re.search(r"^package (\S+);", text, re.M)[1]
        return json.dumps(name.replace("%", ""))

    def run(path, *options):
        return subprocess.run([wafer, "wit", "--features", "active", *options, str(path)],
                              capture_output=True, text=True, timeout=60)

    for expected in sorted(folder.glob("*.json")):
        path = folder / expected.name.removesuffix(".json")
        if not path.exists():
            path = folder / expected.name.removesuffix(".wit.json")
        if not path.exists() or any(path.glob("deps/*.wa*")):
            skipped.append(f"{expected.name}: packages in binary form")
            continue
        count += 1
        done = run(path, "--json")
        if done.returncode != 0:
            failures.append(f"{path.name}: refused: {done.stderr}")
            continue
        want, got = resolved(json.loads(expected.read_text())), resolved(json.loads(done.stdout))
        failures += [f"{path.name}: {d}" for d in differences(want, got)]

        # What is printed resolves to the same again.
        printed = run(path, "--deps")
        again = subprocess.run([wafer, "wit", "--json", "--all-features", "/dev/stdin"],
                               input=printed.stdout, capture_output=True, text=True, timeout=60)
        if again.returncode != 0:
            failures.append(f"{path.name}: printed text is refused: {again.stderr}")
            continue
        once, twice = got, resolved(json.loads(again.stdout))
        failures += [f"{path.name}: printed: {d}" for key in twice
                     for d in differences(once.get(key), twice[key], key)]

        # The binary form holds the same package; it has no place for an empty one's name.
        if not re.search(r"^(interface|world) ", run(path).stdout, re.M):
            continue
        binary = pathlib.Path(scratch) / "package.wasm"
        encoded = run(path, "--wasm", "-o", str(binary))
        valid = subprocess.run([wafer, "validate", "--enable", "all", str(binary)],
                               capture_output=True, text=True, timeout=60)
        back = run(binary, "--json")
        if encoded.returncode or valid.returncode or back.returncode:
            failures.append(f"{path.name}: binary form: {encoded.stderr}{valid.stderr}{back.stderr}")
            continue
        twice = resolved(json.loads(back.stdout))
        main = json.loads(got_main(run(path).stdout))
        failures += [f"{path.name}: binary form: {d}" for key in once
                     if main in key.split(" ", 1)[1].split("/")[0]
                     for d in differences(once[key], twice.get(key), key)]

    for expected in sorted((folder / "parse-fail").glob("*.result")):
        path = folder / "parse-fail" / expected.name.removesuffix(".result")
        if not path.exists():
            path = folder / "parse-fail" / expected.name.removesuffix(".wit.result")
        if not path.exists():
            continue  # an expectation without its input
        count += 1
        done = run(path)
        if done.returncode != 1:
            failures.append(f"parse-fail/{path.name}: exit code {done.returncode}, expected 1")
            continue
        # The place of the error; the wording is our own.
        place = re.search(r"--> \S*?([^/\s]+\.wit:\d+:\d+)", expected.read_text())
        if place and place[1] not in done.stderr and path.name not in OTHER_PLACE:
            failures.append(f"parse-fail/{path.name}: expected at {place[1]}:\n{done.stderr}")

    for line in failures:
        print("FAIL", line)
    for line in skipped:
        print("skipped", line)
    print(f"{count} inputs, {len(failures)} failures, {len(skipped)} skipped")
    return 1 if failures or not count else 0


if __name__ == "__main__":
    sys.exit(main())
