"""The gateway: policies of Azure API Management, executed in front of the local host (docs/gateway.md)."""
