#!/bin/sh
# Reads the logs of a whole run of the tests for secrets: what snapwatch makes has a
# prefix, and the tests' passwords are few. Usage: deploy/check/secrets.sh FOLDER
set -eu
lines=$(cat "$1"/* | wc -l)
if [ "$lines" -lt 500 ]; then
	echo "only $lines lines of logs: this would find nothing" >&2
	exit 1
fi
# A line that must be found, so that a pattern which finds nothing is noticed.
pattern='sw[staeld]_[A-Za-z0-9_-]{43}|\$argon2id\$|correct horse battery|a horse of another colour|a token of the settings|s3cret'
printf 'swt_%043d\n' 1 | grep -qE "$pattern"
if grep -nE "$pattern" "$1"/*; then
	echo "there are secrets in the logs above" >&2
	exit 1
fi
echo "$lines lines of logs, and no secret in them"
