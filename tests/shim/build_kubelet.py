"""Builds a kubelet with go, from the modules that Kubernetes publishes: some minutes of processor
time. Its main module names the parts that it is developed with by folders, which the published one
lacks; here they are the releases that belong to it."""

import json
import os
import pathlib
import re
import subprocess

VERSION = "1.34.2"
MAIN = """package main

import (
	"context"
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kubelet/app"
)

func main() { os.Exit(cli.Run(app.NewKubeletCommand(context.Background()))) }
"""


def build_kubelet(folder: pathlib.Path) -> str:
    """Builds `folder`/kubelet. What is wrong, or nothing."""
    place = folder / "kubelet.src"
    place.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, GOFLAGS="-mod=mod")

    def go(*words):
        return subprocess.run(["go", *words], cwd=place, env=environment, capture_output=True,
                              text=True)

    try:
        got = go("mod", "download", "-json", f"k8s.io/kubernetes@v{VERSION}")
    except FileNotFoundError:
        return "go is not here"
    if got.returncode:
        return got.stderr[-300:]
    module = pathlib.Path(json.loads(got.stdout)["GoMod"]).read_text()
    parts = re.findall(r"(k8s\.io/[\w-]+) => \./staging", module)
    release = "v0." + VERSION.split(".", 1)[1]
    (place / "main.go").write_text(MAIN)
    (place / "go.mod").write_text("\n".join([
        "module kubelet", "", "go 1.24.0", "", f"require k8s.io/kubernetes v{VERSION}", "",
        "replace (", *(f"\t{part} => {part} {release}" for part in parts), ")", ""]))
    for words in (("mod", "tidy"), ("build", "-trimpath", "-ldflags", "-s -w", "-o",
                                    str(folder / "kubelet"), ".")):
        done = go(*words)
        if done.returncode:
            return done.stderr[-300:]
    return ""
