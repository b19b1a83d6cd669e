#!/bin/sh
# After installing and upgrading. With DPKG_ROOT the package goes into another tree,
# whose services are not ours to touch.
set -eu
[ -z "${DPKG_ROOT:-}" ] || exit 0
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl enable --quiet snapwatch-agent.service
	systemctl restart snapwatch-agent.service
fi
