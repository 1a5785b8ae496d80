"""Who calls: with a token that has a scope, or, on loopback alone, without one."""

from __future__ import annotations

from dataclasses import dataclass

from marketfetch.ops.access_tokens import SCOPES, Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` of the token, or of the user; `token` is the token's id, "" without one; `submits` a limit, such as 60/minute.

    `bound_to`: the owner whose jobs alone it submits and sees, "" for a caller who sees all.
    """

    name: str
    scope: Scope
    token: str = ""
    submits: str = ""
    bound_to: str = ""

    @property
    def owner(self) -> str:
        """Who owns the jobs that it submits. A token's has its id: no other one, later or of a user, can have that."""
        if self.bound_to:
            return self.bound_to
        return f"{self.name} (token {self.token})" if self.token else self.name

    def may(self, scope: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def sees(self, owner: str) -> bool:
        """Whether it may see the jobs of this owner."""
        return not self.bound_to or owner == self.bound_to
