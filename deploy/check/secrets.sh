#!/bin/sh
# Searches the logs of a whole test run for secrets: those of snapwatch, which have a prefix, and the
# passwords of the tests. Usage: deploy/check/secrets.sh FOLDER
set -eu
lines=$(cat "$1"/* | wc -l)
if [ "$lines" -lt 500 ]; then
	echo "$1 has only $lines lines of logs: the tests did not write their logs" >&2
	exit 1
fi
# Check the pattern itself: it must match this line.
pattern='(sws_|swt_|swa_|swe_|swl_|swd_)[A-Za-z0-9_-]{43}|\$argon2id\$|correct horse battery|a horse of another colour|a token of the settings|s3cret'
printf 'swt_%043d\n' 1 | grep -qE "$pattern"
if grep -nE "$pattern" "$1"/*; then
	echo "the lines above contain secrets" >&2
	exit 1
fi
echo "no secrets in $lines lines of logs"
