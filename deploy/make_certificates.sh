#!/bin/sh
# Make an authority, and one certificate for scheduler, workers and clients: sh deploy/make_certificates.sh [FOLDER]
# Whoever holds cluster.key can run code on the cluster. authority.key is needed for further certificates only.
set -eu
folder=${1:-$(dirname "$0")/certificates}
mkdir -p "$folder"
cd "$folder"
openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=dask_igtm-authority \
  -keyout authority.key -out authority.crt
openssl req -newkey rsa:3072 -nodes -subj /CN=dask_igtm-cluster -keyout cluster.key -out cluster.csr
openssl x509 -req -days 365 -in cluster.csr -CA authority.crt -CAkey authority.key -CAcreateserial \
  -out cluster.crt
rm cluster.csr
chmod 600 authority.key
# The user in the containers has another number than the one who made the key.
chmod 644 cluster.key
