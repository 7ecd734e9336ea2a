#!/usr/bin/env bash
# Unpacks Docker and containerd of Debian 13 into a folder, without installing them:
# fetch_docker.sh FOLDER. Exit code 77 where they cannot be had.
set -euo pipefail
folder=$1
[ -x "$folder/bin/dockerd" ] && exit 0
suite=trixie
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
  'Label: Debian' 2>/dev/null | sort -u | head -1 || true)
if [ -z "$mirror" ] || [ ! -e "$keys" ]; then echo "skipped: no mirror of Debian"; exit 77; fi
mkdir -p "$folder"
cd "$folder"
mkdir -p apt/lists/partial apt/cache/archives/partial debs root bin
echo "deb [signed-by=$keys] $mirror $suite main" > apt/sources.list
options=(-o Dir::State="$PWD/apt" -o Dir::State::status=/dev/null -o Dir::Cache="$PWD/apt/cache"
  -o Dir::Etc::sourcelist="$PWD/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Acquire::Languages=none -o APT::Sandbox::User=root)
if ! apt-get "${options[@]}" update -qq 2>apt/log ||
  ! (cd debs && apt-get "${options[@]}" download -qq docker.io docker-cli containerd 2>>../apt/log); then
  echo "skipped: Debian's packages cannot be had: $(tail -1 apt/log)"
  exit 77
fi
for deb in debs/*.deb; do dpkg-deb -x "$deb" root; done
# Shims and runc of that release would hide this machine's runc.
for tool in docker dockerd docker-proxy docker-init containerd ctr; do
  for place in usr/bin usr/sbin; do
    if [ -x "root/$place/$tool" ]; then ln -sf "../root/$place/$tool" "bin/$tool"; fi
  done
done
rm -rf apt debs
bin/docker --version
