#!/bin/sh
# pip of the build, which stays out of the images. It installs for the Python of $FOR_PYTHON.
set -eu
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off PIP_CACHE_DIR=/tmp/cache
# The index and its certificates, where they are not pip's own, come as build secrets. pip passes over a
# configuration that is not there, but not over such a bundle.
export PIP_CONFIG_FILE=/run/secrets/pip
if [ -f /run/secrets/certs ]; then
    export PIP_CERT=/run/secrets/certs
fi
exec /tmp/pip/bin/pip --python "${FOR_PYTHON:-/opt/joulefleet/bin/python}" "$@"
