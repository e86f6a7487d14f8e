#!/usr/bin/env bash
# Rebuild templates/static/vendor from the pinned packages. Needs node >= 20 and npm; the results are committed,
# so neither an installation nor a test run calls this. No package's install script runs.
set -euo pipefail
cd "$(dirname "$0")"
npm ci --ignore-scripts --no-audit --no-fund
node build.mjs
