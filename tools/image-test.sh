#!/bin/sh
# Builds the image twice with buildah, on a base image made of Debian packages, and fails if the layers differ. Then runs it
# with a read-only root, without capabilities, as the image's user. Needs root, buildah, debootstrap and unshare.
# BASE is a directory with the base system, made if it is missing. The build trusts the CA certificates of this machine and
# uses its package index, so that it works behind a proxy as well.
set -eu
for program in buildah debootstrap unshare setpriv; do
  command -v "$program" >/dev/null || { echo "$program is missing: the image is not built" >&2; exit 77; }
done
work=$(mktemp -d)
trap 'umount -R "$work/root" 2>/dev/null; bud umount --all >/dev/null 2>&1; rm -rf "$work"' EXIT
base=${BASE:-$work/base}
tag=docker.io/library/python:$(sed -n 's/^ARG PYTHON=//p' Dockerfile)
epoch=1700000000
index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
export STORAGE_DRIVER=vfs
bud() { buildah --root "$work/store" --runroot "$work/run" "$@"; }

if [ ! -x "$base/usr/local/bin/python" ]; then
  debootstrap --variant=minbase --include=python3-venv,ca-certificates "${tag##*-}" "$base" >"$work/log" || { cat "$work/log"; exit 1; }
  chroot "$base" /usr/bin/python3 -m venv /usr/local
fi
cp --dereference /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/ca-certificates.crt"
mkdir "$work/context"
tar -C "$base" -cf "$work/context/base.tar" .
printf 'FROM scratch\nADD base.tar /\nENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n' >"$work/context/Dockerfile"
bud bud --quiet --isolation chroot --tag "$tag" "$work/context" >/dev/null

for name in first second; do
  bud bud --quiet --isolation chroot --pull-never --layers=false --format docker --timestamp "$epoch" \
    --build-arg VERSION=0.0.0 --build-arg REVISION=0123abc --build-arg "SOURCE_DATE_EPOCH=$epoch" \
    --build-arg CREATED=2023-11-14T22:13:20Z --build-arg "CA_CERTIFICATES=${CA_CERTIFICATES:-}" \
    --build-arg "PIP_INDEX_URL=$index" --tag "$name" . >/dev/null
  bud inspect --type image --format '{{ .OCIv1.RootFS.DiffIDs }}' "$name" >"$work/$name"
done
cmp "$work/first" "$work/second"
echo "two builds have the same layers: $(cat "$work/first")"

container=$(bud from --pull-never first)
mkdir "$work/root"
mount --bind "$(bud mount "$container")" "$work/root"
mount -o remount,bind,ro "$work/root"
# chroot needs a capability, so it comes before they are dropped.
run() {
  unshare --mount --pid --fork --net chroot "$work/root" /usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups \
    --no-new-privs --bounding-set=-all --inh-caps=-all /usr/bin/env -i "$@"
}
run /opt/sms-exporter/bin/python -m exporter --version
run /opt/sms-exporter/bin/python -m exporter demo --help >/dev/null
run /opt/sms-exporter/bin/python -c '
import importlib.metadata, importlib.util, subprocess, sys, time
assert importlib.metadata.version("huaweicloud-sms-exporter")
assert importlib.util.find_spec("pip") is None
demo = subprocess.Popen([sys.executable, "-m", "exporter", "demo", "--servers=3", "--web.listen-address=127.0.0.1:10058"], stdout=subprocess.PIPE)
sys.stdout.buffer.write(demo.stdout.readline())
demo.terminate()
assert demo.wait() == 0
'
echo "the image runs with a read-only root and no capabilities"
