#!/bin/sh
# Make a base image from Debian's packages, where no image registry can be reached:
#
#   sh deploy/make_base_image.sh igtm-base && BASE=igtm-base docker-compose build
#
# The authorities that this machine trusts come along, since the build installs from the same network.
set -eu
image=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
debootstrap --variant=minbase --include=python3-venv,ca-certificates bookworm "$tree"
cp "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" "$tree/etc/ssl/certs/ca-certificates.crt"
tar -C "$tree" -c . | docker import - "$image"
