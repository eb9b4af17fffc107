#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A small deployment, for the tour in the README: weir run -- examples/deploy.sh
#
# The lines that begin with STEP_START:, STEP_COMPLETE:, ARTIFACT: and META: are for Weir; without it they are just
# output. It packs the files next to it and "delivers" them to a directory of its own, so it changes nothing else.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "META:version:1.4.2"

echo "STEP_START:Check [stop_on_error=true]"
for file in "$here"/*; do
    echo "found $(basename "$file"), $(wc -c <"$file") bytes"
done
echo "STEP_COMPLETE:Check"

echo "STEP_START:Package [duration=2]"
tar -czf "$work/release.tar.gz" -C "$here" .
(cd "$work" && sha256sum release.tar.gz >release.sha256)
echo "packed $(wc -c <"$work/release.tar.gz") bytes"
echo "ARTIFACT:$work/release.tar.gz:what is deployed"
echo "ARTIFACT:$work/release.sha256:its checksum"
sleep "${DEPLOY_PAUSE:-1}"
echo "STEP_COMPLETE:Package"

echo "STEP_START:Deliver"
mkdir "$work/target"
tar -xzf "$work/release.tar.gz" -C "$work/target"
echo "delivered to $(uname -n)"
sleep "${DEPLOY_PAUSE:-1}"
echo "STEP_COMPLETE:Deliver"
