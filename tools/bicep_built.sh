#!/usr/bin/env bash
# Builds and lints $1.bicep, $2.bicep … with Microsoft's compiler, and $1.bicepparam … with it; a warning is a failure too.
set -euo pipefail
told=$(mktemp)
trap 'rm -f "$told"' EXIT

# What parameter files ask of the environment and have no default for; whoever only builds has none of these.
: "${AZURE_ENV_NAME:=dev}" "${AZURE_LOCATION:=westeurope}" "${AUTH_AUDIENCE:=api://tessera}"
: "${AUTH_AUTHORITIES:=https://example.org}" "${SMTP_HOST:=localhost}" "${MAIL_FROM:=nobody@example.org}"
: "${TESSERA_ALERT_MAIL:=nobody@example.org}" "${TESSERA_BUDGET_FROM:=2026-01-01}"
: "${AZURE_PRINCIPAL_ID:=00000000-0000-0000-0000-000000000000}"
export AZURE_ENV_NAME AZURE_LOCATION AUTH_AUDIENCE AUTH_AUTHORITIES SMTP_HOST MAIL_FROM TESSERA_ALERT_MAIL TESSERA_BUDGET_FROM AZURE_PRINCIPAL_ID

clean() {
  local ended=0
  case $1 in
    lint) az bicep "$@" > "$told" 2>&1 || ended=$? ;;
    *) az bicep "$@" 2> "$told" > /dev/null || ended=$? ;; # what it builds goes to the other one
  esac
  cat "$told" >&2
  if [ "$ended" -ne 0 ]; then return "$ended"; fi
  if grep -Eq '(^|[ :])(Warning|Error) ' "$told"; then
    echo "az bicep $1: a warning is a failure here." >&2
    return 1
  fi
}

for name in "$@"; do
  clean build --file "$name.bicep" --stdout
  clean lint --file "$name.bicep"
  clean build-params --file "$name.bicepparam" --stdout
done
