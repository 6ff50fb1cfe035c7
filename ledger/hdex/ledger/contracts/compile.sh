#!/usr/bin/env bash
# Compiles ExchangeLedger.sol with the pinned npm solc and writes ExchangeLedger.json beside it;
# with --check compares byte for byte and writes nothing. The compiler lives in a cache outside the repository.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
solc_version=0.8.37
solc_integrity=sha512-ieUYdPDRGNKMsZpCfi9tY64Q+ASoL8tyhLuvf9cFiqDs+6ijlx8Wn2CRi0N71AlCvRx0V092rlUYu3b3PuxWlA==
cache="${XDG_CACHE_HOME:-$HOME/.cache}/hdex/solc-$solc_version"

command -v node >/dev/null || { echo "compile.sh: node is not installed" >&2; exit 3; }
if ! [ -f "$cache/installed" ]; then
  command -v npm >/dev/null || { echo "compile.sh: npm is not installed" >&2; exit 3; }
  mkdir -p "$cache"
  npm install --prefix "$cache" --silent --no-audit --no-fund --no-save --ignore-scripts "solc@$solc_version" >&2
  grep -qF "$solc_integrity" "$cache/node_modules/.package-lock.json" \
    || { echo "compile.sh: solc $solc_version is not the pinned package" >&2; exit 1; }
  touch "$cache/installed"
fi

built="$(mktemp)"
trap 'rm -f "$built"' EXIT
NODE_PATH="$cache/node_modules" node "$here/compile.js" >"$built"
if [ "${1:-}" = "--check" ]; then
  cmp "$built" "$here/ExchangeLedger.json" || { echo "compile.sh: the committed build is not what the source gives" >&2; exit 1; }
  echo "ExchangeLedger.json is what solc $solc_version gives for ExchangeLedger.sol"
else
  cat "$built" >"$here/ExchangeLedger.json"
fi
