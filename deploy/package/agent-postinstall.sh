#!/bin/sh
# Runs after an installation or an upgrade. With DPKG_ROOT the package is installed into another tree,
# so this script does not change the services of this system.
set -eu
[ -z "${DPKG_ROOT:-}" ] || exit 0
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl enable --quiet snapwatch-agent.service
	systemctl restart snapwatch-agent.service
fi
