"""The authority behind RDS's certificates, on every host that asks a database."""

BUNDLE = "/etc/ssl/rds/global-bundle.pem"
VARIABLES = {"PGSSLROOTCERT": BUNDLE}
"""What libpq, and so recovery and the products, find it by."""

_SOURCE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
"""Of all regions (RDS User Guide, using SSL/TLS to encrypt a connection)."""

FETCH = f"""\
install -d -m 0755 {BUNDLE.rpartition("/")[0]}
if [ ! -s {BUNDLE} ]; then
  curl -fsS --retry 20 --retry-delay 3 --retry-all-errors -o {BUNDLE}.part {_SOURCE}
  mv {BUNDLE}.part {BUNDLE}
fi
"""
"""Lines of a script under `set -e`: the bundle is there, whole, or the script ends.

An image that brings the bundle needs nothing from elsewhere to start.
"""
