"""Whose keys a job is fetched with: its owner's, where keys have owners. A job without such a key is refused at once."""

from __future__ import annotations

from marketfetch import vendors
from marketfetch.addresses import without_a_key
from marketfetch.configured import owners
from marketfetch.exceptions import BadRequestError


def keys_of(provider: str, owner: str, *, or_without: bool = False) -> str:
    """The owner whose keys a new job is fetched with; "" for the keys without an owner.

    While no key of the vendor has an owner, those keys serve everyone. `or_without`: the owner is only the name of a token or
    of a system's user, so without a key of its own it has those without an owner. Raises BadRequestError.
    """
    if provider not in vendors.names():
        return ""  # the plan refuses it with a sentence
    known = owners(provider)
    owned = known.keys() - {""}
    if owner in owned:
        return owner
    if not known:
        return ""  # refused with `no_key`, after the wish itself was checked
    if owner and owned and not or_without:
        raise BadRequestError(
            f"The owner {owner!r} has no key of {provider}, so nothing was submitted: the keys that there are belong to other "
            f"owners, or to none. Give it one, `marketfetch set providers.{provider}.api_keys --add LABEL --owner {owner!r}`, "
            "or submit without an owner."
        )
    if "" not in known:
        raise BadRequestError(
            f"Every key of {provider} belongs to an owner, and this job is of none of them, so nothing was submitted. Submit "
            f"with owner=..., or add a key without an owner: `marketfetch set providers.{provider}.api_keys --add LABEL`."
        )
    return ""


def no_key(provider: str) -> str:
    """The sentence for a vendor without any key."""
    theirs = vendors.vendor(provider).key_variables
    variable = " or ".join(theirs) if theirs else f"MARKETFETCH_PROVIDERS__{provider.upper()}__API_KEYS"
    return (
        f"No API key is configured for {provider}, so nothing was submitted. Set the variable {variable}, or "
        f"providers.{provider}.api_keys in marketfetch.toml. " + without_a_key()
    )
