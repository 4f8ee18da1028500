"""What apps and the gateway are told, compared: with each other, with what the installation said, with the vault."""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any, Final

from tests.infra.checks.settings import REFERENCE
from tests.infra.world import VARIANTS, Seen, app_settings
from tools.bicep.values import Declared, Symbol, Template, Value
from tools.delivery.vault import SECRETS

SITES: Final = "Microsoft.Web/sites"
GATEWAY: Final = "Microsoft.ApiManagement/service"
NOBODY: Final = {"FROM": "127.0.0.0", "TO": "127.255.255.255"}  # of the internet
_SECRET: Final = re.compile(r"https://[\w-]+\.vault\.azure\.net/secrets/([\w-]+)")
_KNOWN: Final = {each.name: each for each in SECRETS}


def given(seen: Seen) -> Mapping[str, str]:
    """The environment variables that this deployment was told."""
    return VARIANTS[seen.plan.variant][1]


def named_values(seen: Seen) -> Mapping[str, Declared]:
    """What the gateway's policies read, by name."""
    return {str(each.name): each for each in seen.plan.of(f"{GATEWAY}/namedValues")}


def alike(seen: Seen) -> Iterator[str]:
    """Named values that say otherwise than the app setting that `operations.json` names for them."""
    wanted = seen.infra.json("policies/operations.json")["named_values"]
    for site in seen.plan.of(SITES):
        settings = app_settings(site)
        for name, each in named_values(seen).items():
            about = wanted.get(name, {})
            if "setting" in about:
                compared = _secrets if about.get("secret") else _values
                setting = settings.get(about["setting"])
                if problem := compared(each, setting, about):
                    yield f"{name}: {problem}, and {about['setting']} of {site.name} is {setting}"


def _values(each: Declared, setting: Value, about: Mapping[str, Any]) -> str:
    found = str(each.at("properties", "value"))
    told = str(setting).split(",")
    # Of a shorter list the last item counts once more.
    wanted = told[min(about["item"], len(told) - 1)] if "item" in about else str(setting)
    same = found == (wanted.lower() if about.get("flag") else wanted)
    return "" if same else f"it is {found}"


def _secrets(each: Declared, setting: Value, about: Mapping[str, Any]) -> str:
    found = _secret_of(each)
    reference = REFERENCE.fullmatch(str(setting))
    accepted = _KNOWN.get(reference[2]) if reference else None
    if accepted is None:
        return f"it is {found}"
    # Of a list of accepted ones the gateway has one, which is kept beside it.
    wanted = {one.name for one in SECRETS if one.beside == accepted.name} if "item" in about else {accepted.name}
    return "" if found in wanted else f"it is {found}"


def _secret_of(each: Declared) -> str:
    match = _SECRET.fullmatch(str(each.at("properties", "keyVault", "secretIdentifier")))
    return match[1] if match else ""


def kept(seen: Seen) -> Iterator[str]:
    """Secrets that are asked for and that `python -m tools.delivery secrets` puts into no vault."""
    asked = {
        found[2]
        for site in seen.plan.of(SITES)
        for value in app_settings(site).values()
        if (found := REFERENCE.fullmatch(str(value)))
    }
    asked |= {_secret_of(each) for each in named_values(seen).values() if each.at("properties", "secret")}
    asked |= {name for each in seen.infra.json("services.json").values() for name in each["secrets"]}
    yield from (f"nobody puts {name} into the vault" for name in sorted(asked - _KNOWN.keys()))


def addresses(seen: Seen) -> Iterator[str]:
    """Addresses of ours that lead elsewhere than to ours, and a range of callers that is none."""
    gateway = seen.plan.one(GATEWAY)
    public = given(seen).get("TESSERA_PUBLIC_URL", f"https://{gateway.name}.azure-api.net")
    for site in seen.plan.of(SITES):
        if app_settings(site)["TESSERA_PUBLIC_URL"] != public:
            yield f"{site.name}: people would be sent to {app_settings(site)['TESSERA_PUBLIC_URL']}, not to {public}"
    values = {name: each.at("properties", "value") for name, each in named_values(seen).items()}
    if not _is_origin(values["site-origin"], seen):
        yield f"browsers may call us from {values['site-origin']}, where the website is not"
    first, last = (str(values[name]) for name in ("private-from", "private-to"))
    told = [given(seen).get(f"TESSERA_PRIVATE_{end}", usual) for end, usual in NOBODY.items()]
    if [first, last] != told or int(IPv4Address(first)) > int(IPv4Address(last)):
        yield f"{first} to {last} may ask for insights, not {' to '.join(told)}"


def _is_origin(value: Value, seen: Seen) -> bool:
    """What was told, and else the website's own address, as a browser writes it."""
    if told := given(seen).get("TESSERA_SITE_ORIGIN"):
        return value == told and told.startswith("https://")
    own = (seen.plan.one("Microsoft.Web/staticSites").key, ("properties", "defaultHostname"))
    parts = value.parts if isinstance(value, Template) else (value,)
    return parts[0] == "https://" and [_place(each) for each in parts[1:]] == [own]


def _place(part: Value) -> object:
    return (part.of.key, part.path) if isinstance(part, Symbol) and part.of is not None else part


def sampled(seen: Seen) -> Iterator[str]:
    """Shares of operations that are told, of which alerts and the runbook would see nothing."""
    for site in seen.plan.of(SITES):
        share = str(app_settings(site).get("TESSERA_TRACE_SAMPLING"))
        if not 0 < float(share) <= 1:
            yield f"{site.name}: {share} of all operations are told"
    for each in seen.plan.of(f"{GATEWAY}/diagnostics"):
        share = each.at("properties", "sampling", "percentage")
        if not isinstance(share, int) or not 0 < share <= 100:
            yield f"the gateway tells {share} of a hundred requests"
        if each.at("properties", "alwaysLog") != "allErrors":
            yield "the gateway leaves errors out"
