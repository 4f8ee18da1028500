#!/usr/bin/env bash
# Makes the virtual environment $1 with Python 3.13, found as python3.13 on the PATH, through pyenv or through uv.
set -euo pipefail
venv=$1
wanted=$(cat .python-version)

fits() { "$@" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$wanted')" 2>/dev/null; }

find_python() {
  local candidate
  for candidate in "python$wanted" python3 python; do
    if command -v "$candidate" >/dev/null && fits "$candidate"; then command -v "$candidate"; return; fi
  done
  if command -v pyenv >/dev/null; then
    for candidate in "$(pyenv root)"/versions/"$wanted"*/bin/python; do
      if [ -x "$candidate" ] && fits "$candidate"; then echo "$candidate"; return; fi
    done
  fi
  if command -v uv >/dev/null && uv python find "$wanted" 2>/dev/null; then return; fi
  if command -v uv >/dev/null && uv python install "$wanted" >&2; then uv python find "$wanted"; return; fi
  echo "Tessera needs Python $wanted: install it (python.org, pyenv or uv) and try again." >&2
  return 1
}

python=$(find_python)
echo "Setting up $venv with $("$python" --version) (once, a minute or so)…"
if ! fits "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  "$python" -m venv --clear "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
