#!/usr/bin/env bash
# Builds mapfold-am.jar, the application master that the launcher carries: `build.sh OUTPUT.jar [HADOOP_JARS]`.
# HADOOP_JARS is a folder with Hadoop's jars; without it Maven fetches those that pom.xml names. The classes run on
# Java 8 and later. The same javac makes the same bytes: tests/tests/yarn.rs compares them with the committed jar.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
jars=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$jars" ]; then
  jars=${XDG_CACHE_HOME:-$HOME/.cache}/mapfold/yarn-am-jars
  [ -e "$jars/.whole" ] || { mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$jars" && touch "$jars/.whole"; }
fi
javac --release 8 -Xlint:all,-options,-processing,-classfile,-path -Werror -g:none -cp "$jars/*" -d "$work" "$here"/src/mapfold/yarn/*.java
jar --create --file "$out" --date=2020-01-01T00:00:00Z --no-manifest -C "$work" mapfold
