#!/bin/sh
# Start Tiled with config.yml, but not with a setting that is missing: Tiled would take the name of
# an unset variable for its value, and everybody knows that name.
set -eu
for name in ADMIN_PASSWORD SIGNING_KEY CATALOG_URI AUTHN_URI TABLES_URI REDIS_URI \
            DATA_DIR DETECTOR_DIR LISTEN_HOST; do
  eval "value=\${$name:-}"
  if [ -z "$value" ]; then
    echo "serve.sh: $name is not set (see tiled.env.example)" >&2
    exit 2
  fi
done
umask 077
mkdir -p "$DATA_DIR"
exec tiled serve config "$(dirname "$0")/config.yml" "$@"
