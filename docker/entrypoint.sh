#!/bin/sh
# Starts the program as an ordinary user: the one who owns the folder mounted at /results, so that the
# results belong to whoever mounted it. A folder of root's (one that Docker itself made) is handed over first.
set -eu
if [ "$(id -u)" = 0 ]; then
  owner=$(stat -c %u /results)
  group=$(stat -c %g /results)
  if [ "$owner" = 0 ]; then
    owner=1000 group=1000
    chown "$owner:$group" /results
  fi
  exec setpriv --reuid="$owner" --regid="$group" --clear-groups gossamer "$@"
fi
exec gossamer "$@"
