"""Who calls: with a token that has a scope, or, on loopback alone, without one."""

from __future__ import annotations

from dataclasses import dataclass

from marketfetch.ops.access_tokens import SCOPES, Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` of the token, or of the user; `token` is the token's id, "" without one; `submits` a limit, such as 60/minute."""

    name: str
    scope: Scope
    token: str = ""
    submits: str = ""

    @property
    def owner(self) -> str:
        """Who owns the jobs that it submits. A token's has its id: no other one, later or of a user, can have that."""
        return f"{self.name} (token {self.token})" if self.token else self.name

    def may(self, scope: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(scope)
