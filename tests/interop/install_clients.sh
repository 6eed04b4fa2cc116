#!/bin/sh
# Installs the mail clients that the interop tests drive, where this is possible (root and apt).
# Elsewhere the tests that need a missing one skip with a loud line.
set -u
missing=""
for pair in mutt:mutt mbsync:isync curl:curl fetchmail:fetchmail getmail:getmail6 \
  offlineimap:offlineimap3 msmtp:msmtp swaks:swaks thunderbird:thunderbird; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing mail clients for the tests:$missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null 2>&1
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && exit 0
fi
echo "************************************************************"
echo "** NOT INSTALLED (need root and apt):$missing"
echo "** The tests with these clients will be SKIPPED."
echo "************************************************************"
exit 0
