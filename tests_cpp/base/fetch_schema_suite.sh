#!/bin/sh
# Puts the official JSON Schema test suite where schema_suite_test.cpp looks for it. The suite has no
# package of its own that is new enough; the source package of Python's jsonschema ships it.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
into=${1:-$root/.cache/json-schema-suite}
version=4.26.0
sha256=0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326

[ -d "$into/tests/draft2020-12" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
"$python" -m pip download --quiet --no-deps --no-binary jsonschema --dest "$work" "jsonschema==$version"
echo "$sha256  $work/jsonschema-$version.tar.gz" | sha256sum --check --quiet
tar -xzf "$work/jsonschema-$version.tar.gz" -C "$work"
mkdir -p "$into"
cp -r "$work/jsonschema-$version/json/tests" "$work/jsonschema-$version/json/LICENSE" "$into/"
