"""An OpenID Connect provider as Entra External ID looks to Tessera: discovery, keys, authorization code with PKCE."""
