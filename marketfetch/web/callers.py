"""Who calls: with a token that has a scope, or, on loopback alone, without one."""

from __future__ import annotations

from dataclasses import dataclass

from marketfetch.ops.access_tokens import SCOPES, Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` owns the jobs that it submits; `token` is the token's id, "" without one; `submits` a limit, such as 60/minute."""

    name: str
    scope: Scope
    token: str = ""
    submits: str = ""

    def may(self, scope: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(scope)
